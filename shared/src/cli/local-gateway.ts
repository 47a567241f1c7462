// The gateway of this machine: where `npm start` keeps its state, and where it listens.
import { existsSync, readFileSync } from "node:fs";
import { isIPv4 } from "node:net";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { UsageError } from "./options.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** ANABRANCH_STATE, relative to the repository, or `.anabranch` there. */
export const stateFolder = (): string => resolve(root, process.env.ANABRANCH_STATE || ".anabranch");

/** Its address: the port is ANABRANCH_PORT, or 8787. */
export const localGateway = (): string =>
  `http://127.0.0.1:${Number(process.env.ANABRANCH_PORT) || 8787}`;

/** Whether the address is this machine's, by its name. Throws UsageError if it is no http(s) URL. */
function isLocal(gateway: string): boolean {
  const url = URL.parse(gateway);
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`--gateway takes a URL such as http://127.0.0.1:8787, not "${gateway}"`);
  }
  const { hostname } = url;
  if (hostname === "localhost" || hostname === "[::1]") return true;
  return isIPv4(hostname) && hostname.startsWith("127.");
}

/**
 * A value of `file`, a JSON object in this machine's state folder, to send to `gateway`. "" if there is none, and for a
 * gateway on another machine: what is kept here is no other machine's.
 */
export function keptFor(
  gateway: string,
  file: "secrets.json" | "start-key.json",
  name: string,
): string {
  const path = join(stateFolder(), file);
  if (!isLocal(gateway) || !existsSync(path)) return "";
  const value = (JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>)[name];
  return typeof value === "string" ? value : "";
}

/** The secret of a gateway: the environment's, or what a gateway on this machine keeps; "" if there is none. */
export function gatewaySecret(
  gateway: string,
  name: "ANABRANCH_ADMIN_TOKEN" | "ANABRANCH_POOL_TOKEN",
): string {
  const found = keptFor(gateway, "secrets.json", name);
  return process.env[name] || found;
}
