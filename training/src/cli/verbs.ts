// A command with several verbs: help for each, its result as text or as one JSON value.
import { parseArgs } from "node:util";
import { failCommand } from "@anabranch/shared/cli/command.ts";

export interface Verb {
  help: string;
  /** `json` is printed with --json, `text` without it. */
  run(argv: string[]): Promise<{ json: unknown; text: string }>;
}

/** Runs the verb that this process's command line names. `help` is the command's own. */
export async function runVerbs(
  command: string,
  help: string,
  verbs: Record<string, Verb>,
): Promise<void> {
  process.exitCode = await run(help, verbs, process.argv.slice(2)).catch((error: unknown) =>
    failCommand(command, error),
  );
}

async function run(
  help: string,
  verbs: Record<string, Verb>,
  [name = "", ...rest]: string[],
): Promise<number> {
  const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  const { values } = parseArgs({
    args: rest,
    strict: false,
    options: { help: { type: "boolean", short: "h" }, json: { type: "boolean" } },
  });
  if (!verb) {
    const wantsHelp = ["--help", "-h"].includes(name);
    const fault = wantsHelp || name === "" ? "" : `${name} is none of these:\n\n`;
    process[wantsHelp ? "stdout" : "stderr"].write(fault + help);
    return wantsHelp ? 0 : 2;
  }
  if (values.help) {
    process.stdout.write(verb.help);
    return 0;
  }
  const { json, text } = await verb.run(rest);
  process.stdout.write(values.json ? `${JSON.stringify(json)}\n` : text);
  return 0;
}
