// Operators' credentials in D1, as an operator makes and ends them. Each change and its line in the audit log are one
// transaction.
import { asc, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { ApiError } from "../api-error.ts";
import { hex, keyedHash, makeKey } from "../auth/api-key.ts";
import type { OperatorScope } from "../auth/key-settings.ts";
import { operators } from "../db/schema.ts";
import type { RequestContext } from "../http/context.ts";
import { AuditStore } from "./audit-store.ts";

export type StoredOperator = Omit<typeof operators.$inferSelect, "hash">;
/** More are refused: every one opens everything. */
const maxOperators = 1_000;

export class OperatorsStore {
  readonly #context: RequestContext;
  readonly #db;

  constructor(context: RequestContext) {
    this.#context = context;
    this.#db = drizzle(context.env.DB);
  }

  /** All of them, ended ones too, in the order in which they were made. */
  async list(): Promise<StoredOperator[]> {
    return await this.#db
      .select()
      .from(operators)
      .orderBy(asc(operators.createdAt), asc(operators.operatorId));
  }

  /** The credential itself is not stored. */
  async create(
    name: string,
    scope: OperatorScope,
    expiresAt: number | null,
  ): Promise<{ operator: StoredOperator; credential: string }> {
    if ((await this.list()).length >= maxOperators) {
      throw new ApiError(409, `There are ${maxOperators} credentials already.`, {
        code: "too_many_operators",
      });
    }
    const { ANABRANCH_KEY_SECRET: secret } = this.#context.env;
    const { keyId: operatorId, key: credential } = await makeKey(secret);
    const facts = { operatorId, name, scope, createdAt: Date.now(), expiresAt };
    const hash = hex(await keyedHash(secret, credential));
    await this.#db.batch([
      this.#db.insert(operators).values({ ...facts, hash }),
      this.#entry("operator.create", { operator: operatorId, name, scope, expiresAt }),
    ]);
    return { operator: { ...facts, revokedAt: null }, credential };
  }

  /** Ends it at once. Throws a 404 ApiError if there is none. */
  async revoke(operatorId: string): Promise<StoredOperator> {
    const found = (await this.list()).find((each) => each.operatorId === operatorId);
    if (!found) {
      const message = `There is no operator's credential with the id '${operatorId}'.`;
      throw new ApiError(404, message, { code: "operator_not_found" });
    }
    const revokedAt = found.revokedAt ?? Date.now();
    await this.#db.batch([
      this.#db.update(operators).set({ revokedAt }).where(eq(operators.operatorId, operatorId)),
      this.#entry("operator.revoke", { operator: operatorId, name: found.name }),
    ]);
    return { ...found, revokedAt };
  }

  #entry(action: "operator.create" | "operator.revoke", detail: Record<string, unknown>) {
    return new AuditStore(this.#context).entry({ action, tenantId: "", keyId: "", detail });
  }
}
