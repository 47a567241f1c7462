// The secret that a worker shows to its gateway's pool.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Where a gateway started from this checkout keeps the secrets it made for itself. */
const localSecrets = fileURLToPath(new URL("../../.anabranch/secrets.json", import.meta.url));

/** ANABRANCH_POOL_TOKEN; for a gateway on this machine, else what that gateway keeps; else "". */
export function poolToken(gateway: string): string {
  const given = process.env.ANABRANCH_POOL_TOKEN;
  if (given) return given;
  const { hostname } = new URL(gateway);
  const local = ["127.0.0.1", "localhost", "[::1]"].includes(hostname);
  if (!local || !existsSync(localSecrets)) return "";
  const kept = JSON.parse(readFileSync(localSecrets, "utf8")) as Record<string, unknown>;
  return typeof kept.ANABRANCH_POOL_TOKEN === "string" ? kept.ANABRANCH_POOL_TOKEN : "";
}
