// The secret with which a worker registers in its gateway's pool.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Where a gateway started from this checkout keeps its secrets. */
const localSecrets = fileURLToPath(new URL("../../.anabranch/secrets.json", import.meta.url));

/** ANABRANCH_POOL_TOKEN, or for a gateway on this machine the token that it keeps, or "". */
export function poolToken(gateway: string): string {
  const given = process.env.ANABRANCH_POOL_TOKEN;
  if (given) return given;
  const { hostname } = new URL(gateway);
  const local = ["127.0.0.1", "localhost", "[::1]"].includes(hostname);
  if (!local || !existsSync(localSecrets)) return "";
  const kept = JSON.parse(readFileSync(localSecrets, "utf8")) as Record<string, unknown>;
  return typeof kept.ANABRANCH_POOL_TOKEN === "string" ? kept.ANABRANCH_POOL_TOKEN : "";
}
