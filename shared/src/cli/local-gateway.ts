// The gateway of this machine: where `npm start` keeps its state, and where it listens.
import { accessSync, constants, existsSync, mkdirSync, readFileSync } from "node:fs";
import { isIPv4 } from "node:net";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { UsageError } from "./options.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** ANABRANCH_STATE, relative to the repository, or `.anabranch` there. */
export const stateFolder = (): string => resolve(root, process.env.ANABRANCH_STATE || ".anabranch");

/** The same, made if it is missing. Throws an Error with one line if it can't be written to. */
export function openStateFolder(folder = stateFolder()): string {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    accessSync(folder, constants.W_OK);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "EEXIST" || code === "ENOTDIR" ? "it is not a folder" : message;
    throw new Error(`the state folder ${folder} can't be used (ANABRANCH_STATE names it): ${why}`);
  }
  return folder;
}

/** A JSON object of the state folder; null if the file is missing. Throws an Error with one line if it holds something else. */
export function readState(path: string): Record<string, unknown> | null {
  if (!existsSync(path)) return null;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Error(`${path} can't be read: ${(error as Error).message}`);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {}
  throw new Error(`${path} is not a JSON object: restore it from a backup`);
}

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
  const value = isLocal(gateway) ? readState(path)?.[name] : undefined;
  return typeof value === "string" ? value : "";
}

/**
 * The secret of a gateway: the environment's, or what a gateway on this machine keeps; "" if there is none. What is kept
 * is read only if it is needed: a service may not be allowed to.
 */
export function gatewaySecret(
  gateway: string,
  name: "ANABRANCH_ADMIN_TOKEN" | "ANABRANCH_POOL_TOKEN",
): string {
  isLocal(gateway);
  return process.env[name] || keptFor(gateway, "secrets.json", name);
}
