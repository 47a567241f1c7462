// The gateway of this machine: where `npm start` keeps its state, and where it listens.
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** ANABRANCH_STATE, relative to the repository, or `.anabranch` there. */
export const stateFolder = (): string => resolve(root, process.env.ANABRANCH_STATE || ".anabranch");

/** Its address: the port is ANABRANCH_PORT, or 8787. */
export const localGateway = (): string =>
  `http://127.0.0.1:${Number(process.env.ANABRANCH_PORT) || 8787}`;

/** A value of `file` in the state folder, a JSON object; undefined if there is none. */
export function kept(file: "secrets.json" | "start-key.json", name: string): string | undefined {
  const path = join(stateFolder(), file);
  if (!existsSync(path)) return undefined;
  const value = (JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>)[name];
  return typeof value === "string" ? value : undefined;
}
