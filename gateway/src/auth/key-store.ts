// Keys in D1, and this isolate's bounded memory of them, so that a slow or absent D1 does not stop
// requests whose key was seen lately.
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { ApiError } from "../api-error.ts";
import { keys, tenants } from "../db/schema.ts";
import type { Environment } from "../environment.ts";
import { hex, keyedHash, keyIdOf, makeKey, type NewKey } from "./api-key.ts";

export interface Caller {
  tenantId: string;
  keyId: string;
  rpm: number | null;
  tpm: number | null;
}

interface Remembered {
  caller: Caller | null;
  at: number;
}

/** Younger than this, a remembered answer is used as it is. */
const freshMs = 30_000;
/** An unknown key is asked for again after this, so that a new key works soon everywhere. */
const unknownMs = 1_000;
/** A known key older than this is forgotten, whatever D1 says. */
const staleMs = 600_000;
/** How long a known key waits for D1 before its remembered answer is used. */
const patienceMs = 100;
/** How long an unknown key waits for D1. */
const timeoutMs = 5_000;
const capacity = 10_000;

/** By hash: no key stands in memory longer than its request. */
const remembered = new Map<string, Remembered>();

function remember(hash: string, caller: Caller | null): void {
  remembered.delete(hash);
  remembered.set(hash, { caller, at: Date.now() });
  if (remembered.size > capacity) {
    const [oldest] = remembered.keys();
    if (oldest !== undefined) remembered.delete(oldest);
  }
}

async function lookUp(env: Environment, keyId: string, hash: string): Promise<Caller | null> {
  const row = await drizzle(env.DB).select().from(keys).where(eq(keys.keyId, keyId)).get();
  const caller =
    row && row.hash === hash
      ? { tenantId: row.tenantId, keyId: row.keyId, rpm: row.rpm, tpm: row.tpm }
      : null;
  remember(hash, caller);
  return caller;
}

const late = Symbol("late");

function within<T>(promise: Promise<T>, ms: number): Promise<T | typeof late> {
  return Promise.race([promise, scheduler.wait(ms).then((): typeof late => late)]);
}

/** Who presents `key`; null where nobody does. Throws when it can't be known. */
export async function findCaller(
  env: Environment,
  key: string,
  waitUntil: (promise: Promise<unknown>) => void,
): Promise<Caller | null> {
  const keyId = keyIdOf(key);
  if (keyId === null) return null;
  const hash = hex(await keyedHash(env.ANABRANCH_KEY_SECRET, key));
  const known = remembered.get(hash);
  const age = known ? Date.now() - known.at : Number.POSITIVE_INFINITY;
  if (known && age < (known.caller ? freshMs : unknownMs)) return known.caller;

  const asked = lookUp(env, keyId, hash);
  const usable = known?.caller && age < staleMs ? known.caller : null;
  if (usable) waitUntil(asked.catch((error) => console.error("key look-up failed", error)));
  try {
    const found = await within(asked, usable ? patienceMs : timeoutMs);
    if (found !== late) return found;
  } catch (error) {
    console.error("key look-up failed", error);
  }
  if (usable) return usable;
  throw new ApiError(503, "The key could not be checked; try again.", {
    code: "key_store_unavailable",
    headers: { "retry-after": "1" },
  });
}

export interface KeyLimits {
  rpm: number | null;
  tpm: number | null;
}

/** Makes a key for `tenantId`, and the tenant where it is new. The key itself is not kept. */
export async function createKey(
  env: Environment,
  tenantId: string,
  limits: KeyLimits,
): Promise<NewKey> {
  const made = makeKey();
  const hash = hex(await keyedHash(env.ANABRANCH_KEY_SECRET, made.key));
  const createdAt = new Date();
  const db = drizzle(env.DB);
  await db.batch([
    db.insert(tenants).values({ tenantId, createdAt }).onConflictDoNothing(),
    db.insert(keys).values({ keyId: made.keyId, tenantId, hash, ...limits, createdAt }),
  ]);
  return made;
}

/** For tests: as if this isolate had just started. */
export function forgetKeys(): void {
  remembered.clear();
}
