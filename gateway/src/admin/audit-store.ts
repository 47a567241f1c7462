// The audit log in D1: what operators changed.
import { and, desc, eq, lt } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { audit } from "../db/schema.ts";
import type { RequestContext } from "../http/context.ts";

export type AuditAction =
  | "key.create"
  | "key.change"
  | "key.rotate"
  | "key.revoke"
  | "tenant.change"
  | "upstream.add"
  | "upstream.change"
  | "upstream.remove"
  | "worker.drain"
  | "cache.purge"
  | "price.set"
  | "price.delete"
  | "operator.create"
  | "operator.revoke";
export type AuditRow = typeof audit.$inferSelect;

interface Change {
  action: AuditAction;
  /** Empty, both, if the change is no tenant's. */
  tenantId: string;
  keyId: string;
  /** Never a credential. */
  detail: Record<string, unknown>;
}

export class AuditStore {
  readonly #context: RequestContext;
  readonly #db;

  constructor(context: RequestContext) {
    this.#context = context;
    this.#db = drizzle(context.env.DB);
  }

  /** The query that writes one line, alone or in the transaction of the change. */
  entry(change: Change) {
    const { requestId, operator } = this.#context;
    return this.#db.insert(audit).values({ at: Date.now(), requestId, operator, ...change });
  }

  /** The newest entries first, from the one before `before` on. */
  async list(
    tenantId: string | undefined,
    limit: number,
    before = Number.MAX_SAFE_INTEGER,
  ): Promise<AuditRow[]> {
    const mine = tenantId === undefined ? undefined : eq(audit.tenantId, tenantId);
    return await this.#db
      .select()
      .from(audit)
      .where(and(lt(audit.id, before), mine))
      .orderBy(desc(audit.id))
      .limit(limit);
  }
}
