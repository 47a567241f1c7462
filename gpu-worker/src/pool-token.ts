// The secret with which a worker registers in its gateway's pool.
import { kept } from "@anabranch/shared/cli/local-gateway.ts";

/** ANABRANCH_POOL_TOKEN, or for a gateway on this machine the token that it keeps in its state folder, or "". */
export function poolToken(gateway: string): string {
  const given = process.env.ANABRANCH_POOL_TOKEN;
  if (given) return given;
  const { hostname } = new URL(gateway);
  const local = ["127.0.0.1", "localhost", "[::1]"].includes(hostname);
  return (local && kept("secrets.json", "ANABRANCH_POOL_TOKEN")) || "";
}
