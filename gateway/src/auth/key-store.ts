// Keys in D1, and a bounded cache of them in this isolate, so that a slow or unreachable D1 does not stop
// requests whose key was seen recently.
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { ApiError } from "../api-error.ts";
import { keys, tenants } from "../db/schema.ts";
import type { Environment } from "../environment.ts";
import { late, within } from "../http/patience.ts";
import type { Holder, Limits } from "../limits/limits.ts";
import { hex, keyedHash, keyIdOf } from "./api-key.ts";
import { type KeySettings, scopes } from "./key-settings.ts";

/** A key that was made, with the settings that decide what it opens. */
export interface Caller extends Omit<KeySettings, "name" | keyof Limits> {
  tenantId: string;
  tenantWeight: number;
  keyId: string;
  revoked: boolean;
  limits: Record<Holder, Limits>;
}

interface CachedCaller {
  caller: Caller | null;
  at: number;
}

/** A cached caller younger than this is used without asking D1: a change works everywhere after it. */
const freshMs = 1_500;
/** An unknown key is looked up again after this, so that a new key works everywhere soon. */
const unknownMs = 1_000;
/** A cached caller older than this is not used, even if D1 can't be reached. */
const staleMs = 600_000;
/** How long a known key waits for D1 before its cached caller is used. */
const patienceMs = 100;
/** How long an unknown key waits for D1. */
const timeoutMs = 5_000;
const capacity = 10_000;

/** By hash: no key stays in memory longer than its request. */
const cached = new Map<string, CachedCaller>();

function cacheCaller(hash: string, caller: Caller | null): void {
  cached.delete(hash);
  cached.set(hash, { caller, at: Date.now() });
  if (cached.size > capacity) {
    const [oldest] = cached.keys();
    if (oldest !== undefined) cached.delete(oldest);
  }
}

const limitsOf = ({ rpm, tpm, maxConcurrent, tokensPerMonth, costPerMonth }: Limits): Limits => ({
  rpm,
  tpm,
  maxConcurrent,
  tokensPerMonth,
  costPerMonth,
});

const callerOf = (row: typeof keys.$inferSelect, tenant: typeof tenants.$inferSelect): Caller => ({
  tenantId: row.tenantId,
  tenantWeight: tenant.weight,
  keyId: row.keyId,
  limits: { key: limitsOf(row), tenant: limitsOf(tenant) },
  scopes: row.scopes ?? scopes,
  models: row.models,
  expiresAt: row.expiresAt,
  priority: row.priority,
  revoked: row.revokedAt !== null,
});

async function lookUp(env: Environment, keyId: string, hash: string): Promise<Caller | null> {
  const row = await drizzle(env.DB)
    .select()
    .from(keys)
    .innerJoin(tenants, eq(tenants.tenantId, keys.tenantId))
    .where(eq(keys.keyId, keyId))
    .get();
  const caller = row && row.keys.hash === hash ? callerOf(row.keys, row.tenants) : null;
  cacheCaller(hash, caller);
  return caller;
}

/** Whose key it is; null if it is nobody's. Throws a 503 ApiError if that can't be looked up. */
export async function findCaller(
  env: Environment,
  key: string,
  waitUntil: (promise: Promise<unknown>) => void,
): Promise<Caller | null> {
  const hash = hex(await keyedHash(env.ANABRANCH_KEY_SECRET, key));
  const known = cached.get(hash);
  const age = known ? Date.now() - known.at : Number.POSITIVE_INFINITY;
  if (known && age < (known.caller ? freshMs : unknownMs)) return known.caller;
  const keyId = await keyIdOf(env.ANABRANCH_KEY_SECRET, key);
  if (keyId === null) return null;
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

/** For tests: as if this isolate had just started. */
export function forgetKeys(): void {
  cached.clear();
}
