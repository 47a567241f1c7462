// npm run data: makes answers that branch from ordinary answers.
import { parseArgs } from "node:util";
import { failCommand } from "@anabranch/shared/cli/command.ts";
import { answerCommand, answerHelp } from "./answer.ts";
import { extractCommand, extractHelp } from "./extract.ts";
import { generateCommand, generateHelp } from "./generate.ts";
import { promptsCommand, promptsHelp } from "./prompts.ts";
import { sampleCommand, sampleHelp } from "./sample.ts";

const help = `npm run data -- VERB [options]

generate  writes verifiable demo tasks
prompts   writes prompts of many kinds
answer    asks a served model for answers to prompts, many at once
extract   cuts real answers into serial and parallel parts, with statistics and a report
sample    prints a random sample of the parallel stages that extract found

npm run data -- VERB --help lists the options of a verb. Paths are relative to the repository root.
`;

interface Verb {
  help: string;
  /** `json` is printed with --json, `text` without it. */
  run(argv: string[]): Promise<{ json: unknown; text: string }>;
}

const verbs: Record<string, Verb> = {
  generate: { help: generateHelp, run: generateCommand },
  prompts: { help: promptsHelp, run: promptsCommand },
  answer: { help: answerHelp, run: answerCommand },
  extract: { help: extractHelp, run: extractCommand },
  sample: { help: sampleHelp, run: sampleCommand },
};

async function main(argv: string[]): Promise<number> {
  const [name = "", ...rest] = argv;
  const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  const { values } = parseArgs({
    args: rest,
    strict: false,
    options: { help: { type: "boolean", short: "h" }, json: { type: "boolean" } },
  });
  if (!verb) {
    const wantsHelp = ["--help", "-h"].includes(name);
    process[wantsHelp ? "stdout" : "stderr"].write(help);
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

if (import.meta.main) {
  process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) =>
    failCommand("data", error),
  );
}
