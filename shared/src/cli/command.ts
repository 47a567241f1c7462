// The frame of a command: --help, its options, and errors in one line.
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { UsageError } from "./options.ts";

type Values<Options extends ParseArgsOptionsConfig> = ReturnType<
  typeof parseArgs<{ options: Options }>
>["values"];

interface Command<Options extends ParseArgsOptionsConfig> {
  /** Begins each line of an error. */
  name: string;
  /** Printed with --help. */
  help: string;
  /** Beside --help, which every command takes. */
  options: Options;
}

/**
 * The options of this process. Prints the help and exits with 0 if it is asked for; exits with 2 and one
 * line on stderr if an option is wrong.
 */
export function readCommandLine<const Options extends ParseArgsOptionsConfig>(
  { name, help, options }: Command<Options>,
  args = process.argv.slice(2),
): Values<Options> {
  let values: Values<Options>;
  try {
    ({ values } = parseArgs({ args, options: { ...options, help: { type: "boolean" } } }) as {
      values: Values<Options>;
    });
  } catch (error) {
    return failCommand(name, new UsageError(`${messageOf(error)}; see --help`));
  }
  if ((values as { help?: boolean }).help) {
    process.stdout.write(help);
    process.exit(0);
  }
  return values;
}

/** Ends the process: with 2 if its user must correct the command line, else with 1. */
export function failCommand(name: string, error: unknown): never {
  process.stderr.write(`${name}: ${messageOf(error)}\n`);
  process.exit(error instanceof UsageError ? 2 : 1);
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
