// npm run classifier: the classifier that decides between serial and parallel answers.
import { parseArgs } from "node:util";
import { failCommand } from "@anabranch/shared/cli/command.ts";
import { evaluateCommand, evaluateHelp } from "./classifier-evaluate.ts";
import { fitCommand, fitHelp } from "./classifier-fit.ts";
import { judgeCommand, judgeHelp } from "./classifier-judge.ts";
import { labelCommand, labelHelp } from "./classifier-label.ts";

const help = `npm run classifier -- VERB [options]

label     labels prompts with how parallel their answers are
fit       fits the weights that the gateway uses
evaluate  leaves one source out at a time, and measures beside baselines
judge     says of each prompt of a file how parallel its answer will be

npm run classifier -- VERB --help lists the options of a verb. Paths are relative to the repository root.
`;

interface Verb {
  help: string;
  /** `json` is printed with --json, `text` without it. */
  run(argv: string[]): Promise<{ json: unknown; text: string }>;
}

const verbs: Record<string, Verb> = {
  label: { help: labelHelp, run: labelCommand },
  fit: { help: fitHelp, run: fitCommand },
  evaluate: { help: evaluateHelp, run: evaluateCommand },
  judge: { help: judgeHelp, run: judgeCommand },
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
    failCommand("classifier", error),
  );
}
