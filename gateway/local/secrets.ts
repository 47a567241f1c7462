import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { openStateFolder, readState } from "@anabranch/shared/cli/local-gateway.ts";

const names = ["ANABRANCH_KEY_SECRET", "ANABRANCH_ADMIN_TOKEN", "ANABRANCH_POOL_TOKEN"] as const;

export type Secrets = Record<(typeof names)[number], string>;

/** The gateway's secrets: from the environment, else from `file`, where they are made once. */
export function secrets(file: string): Secrets {
  const kept: Partial<Secrets> = readState(file) ?? {};
  const made = () => randomBytes(32).toString("base64url");
  const all: Secrets = {
    ANABRANCH_KEY_SECRET: kept.ANABRANCH_KEY_SECRET ?? made(),
    ANABRANCH_ADMIN_TOKEN: kept.ANABRANCH_ADMIN_TOKEN ?? made(),
    ANABRANCH_POOL_TOKEN: kept.ANABRANCH_POOL_TOKEN ?? made(),
  };
  if (names.some((name) => kept[name] === undefined)) {
    openStateFolder(dirname(file));
    writeFileSync(file, `${JSON.stringify(all, null, 2)}\n`, { mode: 0o600 });
  }
  for (const name of names) all[name] = process.env[name] ?? all[name];
  return all;
}
