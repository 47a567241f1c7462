// Tenants in D1, as an operator changes them. Each change and its line in the audit log are one transaction.
import { asc, eq, gt } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { ApiError } from "../api-error.ts";
import { tenants } from "../db/schema.ts";
import type { RequestContext } from "../http/context.ts";
import type { Limits } from "../limits/limits.ts";
import { AuditStore } from "./audit-store.ts";

export type StoredTenant = typeof tenants.$inferSelect;

export class TenantsStore {
  readonly #context: RequestContext;
  readonly #db;

  constructor(context: RequestContext) {
    this.#context = context;
    this.#db = drizzle(context.env.DB);
  }

  /** In the order of their names, from the one after `after` on. */
  async list(limit: number, after = ""): Promise<StoredTenant[]> {
    return await this.#db
      .select()
      .from(tenants)
      .where(gt(tenants.tenantId, after))
      .orderBy(asc(tenants.tenantId))
      .limit(limit);
  }

  /** Throws a 404 ApiError if there is none. */
  async find(tenantId: string): Promise<StoredTenant> {
    const row = await this.#db.select().from(tenants).where(eq(tenants.tenantId, tenantId)).get();
    if (row) return row;
    const message = `There is no tenant '${tenantId}'. A tenant begins with its first key.`;
    throw new ApiError(404, message, { code: "tenant_not_found" });
  }

  async change(tenantId: string, settings: Limits & { weight: number }): Promise<void> {
    await this.#db.batch([
      this.#db.update(tenants).set(settings).where(eq(tenants.tenantId, tenantId)),
      new AuditStore(this.#context).entry({
        ...{ action: "tenant.change", tenantId, keyId: "", detail: { ...settings } },
      }),
    ]);
  }
}
