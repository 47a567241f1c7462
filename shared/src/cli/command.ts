// The frame of a command: --help, its options, and errors in one line.
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { UsageError } from "./options.ts";

type CommandLine<Options extends ParseArgsOptionsConfig> = ReturnType<
  typeof parseArgs<{ options: Options; allowPositionals: true }>
>;

interface Command<Options extends ParseArgsOptionsConfig> {
  /** Begins each line of an error. */
  name: string;
  /** Printed with --help. */
  help: string;
  /** Beside --help, which every command takes. */
  options: Options;
  /** Whether there may be arguments without a name. */
  positionals?: boolean;
}

/** One of several things that a command does, named by its first argument. */
export interface Verb {
  /** For the command's help. */
  about: string;
  /** Takes the arguments after its name, and prints its result on stdout: one JSON value with --json. */
  run(args: string[]): Promise<void>;
}

/**
 * The options of this process. Prints the help and exits with 0 if it is asked for; exits with 2 and one
 * line on stderr if an option is wrong.
 */
export function readCommandLine<const Options extends ParseArgsOptionsConfig>(
  { name, help, options, positionals = false }: Command<Options>,
  args = process.argv.slice(2),
): CommandLine<Options> {
  try {
    const line = parseArgs({
      ...{ args, allowPositionals: positionals },
      options: { ...options, help: { type: "boolean" } },
    });
    if (!("help" in line.values)) return line as CommandLine<Options>;
  } catch (error) {
    failCommand(name, new UsageError(`${messageOf(error)}; see --help`));
  }
  process.stdout.write(help);
  process.exit(0);
}

/** Ends the process: with 2 if its user must correct the command line, else with 1. */
export function failCommand(name: string, error: unknown): never {
  process.stderr.write(`${name}: ${messageOf(error)}\n`);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  process.exit(error instanceof UsageError || code.startsWith("ERR_PARSE_ARGS") ? 2 : 1);
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
