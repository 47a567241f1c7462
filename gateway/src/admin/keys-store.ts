// Keys in D1, as an operator changes them. Each change and its line in the audit log are one transaction.
import { and, asc, eq, gt } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { hex, keyedHash, makeKey, type NewKey } from "../auth/api-key.ts";
import { type KeySettings, scopes } from "../auth/key-settings.ts";
import { keys, tenants } from "../db/schema.ts";
import type { RequestContext } from "../http/context.ts";
import { type AuditAction, AuditStore } from "./audit-store.ts";

export interface StoredKey extends KeySettings {
  keyId: string;
  tenantId: string;
  /** ms since the epoch, as all times here. */
  createdAt: number;
  revokedAt: number | null;
}

const keyOf = (row: typeof keys.$inferSelect): StoredKey => ({
  keyId: row.keyId,
  tenantId: row.tenantId,
  name: row.name,
  rpm: row.rpm,
  tpm: row.tpm,
  maxConcurrent: row.maxConcurrent,
  tokensPerMonth: row.tokensPerMonth,
  costPerMonth: row.costPerMonth,
  scopes: row.scopes ?? scopes,
  models: row.models,
  expiresAt: row.expiresAt,
  priority: row.priority,
  createdAt: row.createdAt.getTime(),
  revokedAt: row.revokedAt,
});

const columnsOf = ({ scopes, models, ...settings }: KeySettings) => ({
  ...settings,
  scopes: [...scopes],
  models: models && [...models],
});

/** Keys and their history, for one request of an operator. */
export class KeysStore {
  readonly #context: RequestContext;
  readonly #db;

  constructor(context: RequestContext) {
    this.#context = context;
    this.#db = drizzle(context.env.DB);
  }

  /** In the order of their ids, from the one after `after` on. */
  async list(tenantId: string | undefined, limit: number, after = ""): Promise<StoredKey[]> {
    const mine = tenantId === undefined ? undefined : eq(keys.tenantId, tenantId);
    const rows = await this.#db
      .select()
      .from(keys)
      .where(and(gt(keys.keyId, after), mine))
      .orderBy(asc(keys.keyId))
      .limit(limit);
    return rows.map(keyOf);
  }

  async find(keyId: string): Promise<StoredKey | null> {
    const row = await this.#db.select().from(keys).where(eq(keys.keyId, keyId)).get();
    return row ? keyOf(row) : null;
  }

  /** Makes a key, and its tenant if that is new. The key itself is not stored. */
  async create(tenantId: string, settings: KeySettings): Promise<NewKey> {
    const { made, hash } = await this.#newKey();
    await this.#db.batch([
      this.#db.insert(tenants).values({ tenantId, createdAt: new Date() }).onConflictDoNothing(),
      this.#insertion(made.keyId, hash, tenantId, settings),
      this.#entry("key.create", tenantId, made.keyId, { ...settings }),
    ]);
    return made;
  }

  async change({ keyId, tenantId }: StoredKey, settings: KeySettings): Promise<void> {
    await this.#db.batch([
      this.#db.update(keys).set(columnsOf(settings)).where(eq(keys.keyId, keyId)),
      this.#entry("key.change", tenantId, keyId, { ...settings }),
    ]);
  }

  /** Makes a key with the same settings. The old one ends at `oldEndsAt`. */
  async rotate(old: StoredKey, oldEndsAt: number): Promise<NewKey> {
    const { keyId, tenantId, createdAt: _, revokedAt: __, ...settings } = old;
    const { made, hash } = await this.#newKey();
    await this.#db.batch([
      this.#insertion(made.keyId, hash, tenantId, settings),
      this.#db.update(keys).set({ expiresAt: oldEndsAt }).where(eq(keys.keyId, keyId)),
      this.#entry("key.rotate", tenantId, keyId, { newKey: made.keyId, expiresAt: oldEndsAt }),
    ]);
    return made;
  }

  async revoke({ keyId, tenantId }: StoredKey): Promise<number> {
    const revokedAt = Date.now();
    await this.#db.batch([
      this.#db.update(keys).set({ revokedAt }).where(eq(keys.keyId, keyId)),
      this.#entry("key.revoke", tenantId, keyId, { revokedAt }),
    ]);
    return revokedAt;
  }

  async #newKey(): Promise<{ made: NewKey; hash: string }> {
    const { ANABRANCH_KEY_SECRET: secret } = this.#context.env;
    const made = await makeKey(secret);
    return { made, hash: hex(await keyedHash(secret, made.key)) };
  }

  #insertion(keyId: string, hash: string, tenantId: string, settings: KeySettings) {
    const createdAt = new Date();
    return this.#db
      .insert(keys)
      .values({ keyId, tenantId, hash, createdAt, ...columnsOf(settings) });
  }

  #entry(action: AuditAction, tenantId: string, keyId: string, detail: Record<string, unknown>) {
    return new AuditStore(this.#context).entry({ action, tenantId, keyId, detail });
  }
}
