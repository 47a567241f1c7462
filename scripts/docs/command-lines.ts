// The commands in a block of shell, as words; and whether those of this repository are what they say.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { root } from "../setup.mjs";
import { executions } from "./shell.ts";

/** The words of each simple command. Knows quotes, comments, `\` at a line's end, and pages' `[--option]`. */
export function commandsOf(block: string): string[][] {
  const commands: string[][] = [];
  for (const line of block.replace(/\\\n/g, " ").split("\n")) {
    let words: string[] = [];
    // A word, with its quoted parts; an operator between commands; or a comment, which ends the line.
    for (const [match] of line.matchAll(
      /(?<!\S)#.*|&&|;|(?<!\S)[|>](?!\S)|(?:"[^"]*"|'[^']*'|[^\s;"'])+/g,
    )) {
      if (match.startsWith("#")) break;
      if (["&&", ";", "|", ">"].includes(match)) {
        commands.push(words);
        words = [];
      } else words.push(match.replace(/^\[|\]$/g, "").replace(/^(["'])(.*)\1$/, "$2"));
    }
    commands.push(words);
  }
  return commands.filter(({ length }) => length > 0);
}

/** Programs of ours, each asked once for its help with all options that documents give it. */
export interface Question {
  command: string;
  args: string[];
}

/** What a command line of ours asks; null where it is a program of others. @throws Error if it can't be right */
export function questionOf(words: readonly string[]): Question | null {
  const [program = "", ...rest] = words.slice(words.findIndex((word) => !/^[A-Z_]+=/.test(word)));
  if (program === "npm" && rest[1] === "hooks") return null;
  if (program === "npm" && !["pack", "ci"].includes(rest[0] ?? "")) {
    const [name = "", ...args] = rest[0] === "run" ? rest.slice(1) : rest;
    if (!executions.has(name)) throw new Error(`there is no npm run ${name}`);
    return { command: name, args: args[0] === "--" ? args.slice(1) : args };
  }
  if (program === "scripts/gpu-check") return { command: program, args: rest };
  return null;
}

/** Commands whose first arguments say what they do; the others take options alone, or files. */
const verbs = (command: string, args: readonly string[]): string[] => {
  const withVerbs = ["bench", "models", "data", "classifier"];
  return withVerbs.includes(command) ? args.slice(0, 1) : [];
};

export const keyOf = ({ command, args }: Question): string =>
  [command, ...verbs(command, args)].join(" ");

const optionsOf = (args: readonly string[]): string[] =>
  args.filter((arg) => /^--?[a-z]/.test(arg)).map((arg) => arg.replace(/=.*/, ""));

/**
 * Asks a command for its help, with the arguments before: its own parser refuses an option that it does not know.
 * @returns what is wrong, or null
 */
async function faultOf({ command, args }: Question): Promise<string | null> {
  const exec = executions.get(command);
  const [file, argv] = exec
    ? exec(process.execPath, [...args, "--help"])
    : [join(root, command), [...args, "--help"]];
  const child = spawn(file, argv, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  const [help, said, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit"),
  ]);
  const line = `${command} ${args.join(" ")} --help`;
  if (code !== 0) return `${line}: ends with ${code}: ${said}`;
  if (!/\S[\s\S]{20}/.test(help)) return `${line}: says nothing`;
  const unknown = optionsOf(args).filter((option) => !help.includes(option) && option !== "--json");
  return unknown.length > 0 ? `${line}: the help has no ${unknown.join(", ")}` : null;
}

/** Two at a time. */
export async function faultsOf(questions: readonly Question[]): Promise<string[]> {
  const left = [...questions];
  const faults: string[] = [];
  const ask = async () => {
    for (let next = left.pop(); next; next = left.pop()) {
      const fault = await faultOf(next);
      if (fault !== null) faults.push(fault);
    }
  };
  await Promise.all([ask(), ask()]);
  return faults;
}

/** A Python program of ours, as a file or a module, and whether its parser has the options. */
export function pythonFault(
  words: readonly string[],
  alias: Record<string, string>,
): string | null {
  const [program = "", ...rest] = words;
  let file = alias[program];
  if (/(^|\/)python3?$/.test(program)) {
    const module = rest[0] === "-m" ? rest[1] : undefined;
    file = module ? `training/python/${module.replaceAll(".", "/")}.py` : rest[0];
  }
  if (file === undefined) return null;
  if (!existsSync(join(root, file))) return `${words.join(" ")}: there is no ${file}`;
  const source = readFileSync(join(root, file), "utf8");
  const unknown = optionsOf(rest).filter(
    (option) => option !== "-m" && !source.includes(`"${option}"`),
  );
  return unknown.length > 0 ? `${file} has no ${unknown.join(", ")}` : null;
}

const ours =
  /^(models|docs|scripts|client|native|gateway|gpu-worker|bench|training|examples|shared|console|deploy)\//;
/** Made by a build. */
const built = /^(client\/dist|console\/dist|native\/build)/;

/** The words that name files of the repository which are not there. */
export const missingFiles = (words: readonly string[]): string[] =>
  words
    .map((word) => word.replace(/^\.\//, "").replace(/^--[\w-]+=/, ""))
    .filter((word) => ours.test(word) && !built.test(word) && !existsSync(join(root, word)));
