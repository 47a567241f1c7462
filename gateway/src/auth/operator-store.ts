// Operators' credentials in D1, as they are looked up: each time, so that a revoked one ends at once.
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { operators } from "../db/schema.ts";
import type { Environment } from "../environment.ts";
import { hex, keyedHash, keyIdOf, sameSecret } from "./api-key.ts";
import type { OperatorScope } from "./key-settings.ts";

export interface Operator {
  /** Empty: the credential of the environment. */
  id: string;
  scope: OperatorScope;
}

/** Whose credential it is; null if it is nobody's, or has ended. */
export async function findOperator(env: Environment, credential: string): Promise<Operator | null> {
  // A credential that is not set opens nothing.
  const root = env.ANABRANCH_ADMIN_TOKEN;
  if (root && (await sameSecret(credential, root))) return { id: "", scope: "all" };
  const id = await keyIdOf(env.ANABRANCH_KEY_SECRET, credential);
  if (id === null) return null;
  const row = await drizzle(env.DB)
    .select()
    .from(operators)
    .where(eq(operators.operatorId, id))
    .get();
  const hash = hex(await keyedHash(env.ANABRANCH_KEY_SECRET, credential));
  if (!row || row.hash !== hash || row.revokedAt !== null) return null;
  if (row.expiresAt !== null && row.expiresAt <= Date.now()) return null;
  return { id, scope: row.scope };
}
