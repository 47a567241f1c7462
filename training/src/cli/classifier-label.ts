// npm run classifier -- label: makes the label file from answers and judgements.
import { parseArgs } from "node:util";
import { integer, required, UsageError } from "@anabranch/shared/cli/options.ts";
import { LabelMaker } from "../classifier/make-labels.ts";
import { RowWriter } from "../pipeline/jsonl.ts";
import { readTokenizer } from "../pipeline/tokenizer.ts";
import { checkApart, fromRoot } from "./paths.ts";

export const labelHelp = `npm run classifier -- label --answers FILE --out FILE [options]

Labels prompts with how parallel their answers are, one JSON object per line: {source, prompt, turn,
judged, answers, speedup, parallel, agreement}. The pipeline of \`npm run data -- extract\` cuts each
answer; speedup is the mean expected speed-up in steps, parallel the share of answers with at least 1.2.
Prompts of \`npm run data -- prompts\` are judged by construction.

  --answers FILE     rows with prompt, response and category; may be given several times
  --out FILE         the labels; training/data/prompt-labels.jsonl is the file that is fitted on
  --most N           read at most N rows of each file (default 2000)
  --judgements FILE  a reader's judgements (default training/data/prompt-judgements.json), or "none"
  --data FOLDER      the prompts that the reader judged (default ../shared/data)
  --json             print one JSON value to stdout: sources and their numbers
`;

const options = {
  answers: { type: "string", multiple: true, default: [] as string[] },
  out: { type: "string" },
  most: { type: "string", default: "2000" },
  judgements: { type: "string", default: "training/data/prompt-judgements.json" },
  data: { type: "string", default: "../shared/data" },
  json: { type: "boolean" },
} as const;

export async function labelCommand(argv: string[]) {
  const { values } = parseArgs({ args: argv, options: { ...options, answers: options.answers } });
  const out = fromRoot(required("out", values.out));
  const most = integer("most", values.most, 1);
  if (values.answers.length === 0) throw new UsageError("--answers is needed; see --help");
  checkApart({ out }, { answers: values.answers });
  const maker = new LabelMaker(readTokenizer(fromRoot("models/ordinary")).count);
  for (const file of values.answers) await maker.addAnswers(fromRoot(file), most);
  if (values.judgements !== "none") {
    await maker.addJudgements(fromRoot(values.judgements), fromRoot(values.data));
  }
  const labels = maker.labels();
  const writer = await RowWriter.open(out);
  for (const label of labels) await writer.write(label);
  await writer.close();
  const json: Record<string, { prompts: number; answered: number; judged: number }> = {};
  for (const { source, answers, judged } of labels) {
    json[source] ??= { prompts: 0, answered: 0, judged: 0 };
    json[source].prompts++;
    if (answers > 0) json[source].answered++;
    if (judged !== null) json[source].judged++;
  }
  const text = Object.entries(json)
    .map(
      ([name, n]) => `${name}: ${n.prompts} prompts, ${n.answered} answered, ${n.judged} judged\n`,
    )
    .join("");
  return { json, text };
}
