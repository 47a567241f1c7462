// Blocks of commands, run by a shell as they stand. `npm run X -- …` is what scripts/run.mjs would execute, without its set-up.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { text } from "node:stream/consumers";
import { commands } from "../commands.mjs";
import { root } from "../setup.mjs";

type Execution = (node: string, args: string[]) => [file: string, args: string[]];

/** Those without options of their own answer --help in run.mjs, before any set-up. */
const inRun = (name: string): Execution => {
  return (node, args) => [node, [join(root, "scripts/run.mjs"), name, ...args]];
};

/** Ours alone: what npm itself does (`npm pack`) is not here. */
export const executions = new Map<string, Execution>(
  Object.entries(commands).map(([name, { about, exec }]) => [
    name,
    about ? inRun(name) : (exec as Execution),
  ]),
);

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/** A folder for PATH, with an `npm` that runs our commands. It is made in `folder`. */
export function npmFolder(folder: string): string {
  const bin = mkdtempSync(join(folder, "bin-"));
  const cases = [...executions].map(([name, exec]) => {
    const [file, args] = exec(process.execPath, []);
    return `  ${name}) exec ${[file, ...args].map(quoted).join(" ")} "$@" ;;`;
  });
  const npm = join(bin, "npm");
  const lines = [
    "#!/bin/sh",
    '[ "$1" = run ] && shift',
    "name=$1; shift",
    '[ "$1" = -- ] && shift',
    'case "$name" in',
    ...cases,
    '  *) echo "no such command: $name" >&2; exit 1 ;;',
    "esac",
  ];
  writeFileSync(npm, `${lines.join("\n")}\n`);
  chmodSync(npm, 0o755);
  return bin;
}

export interface Ended {
  stdout: string;
  stderr: string;
}

/** @throws Error with what it said, if a command of the block fails */
export async function runBlock(block: string, env: NodeJS.ProcessEnv, cwd = root): Promise<Ended> {
  const shell = spawn("sh", ["-e", "-c", block], {
    ...{ cwd, env, stdio: ["ignore", "pipe", "pipe"] },
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(shell.stdout),
    text(shell.stderr),
    once(shell, "exit"),
  ]);
  if (code !== 0) throw new Error(`ended with ${code}:\n${block}\n${stdout}\n${stderr}`);
  return { stdout, stderr };
}

export const pathWith = (folder: string): string => `${folder}${delimiter}${process.env.PATH}`;
