// npm run classifier -- fit: fits the weights that the gateway uses.
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { decimal } from "@anabranch/shared/cli/options.ts";
import { trainingExamples } from "../classifier/examples.ts";
import { fitModel, packModel } from "../classifier/fit-model.ts";
import { readLabels } from "../classifier/prompt-label.ts";
import { fromRoot } from "./paths.ts";

/** Those of `npm run classifier -- label`, and of prompts that were written for it. */
export const defaultLabels: string[] = [
  "training/data/prompt-labels.jsonl",
  "training/data/written-prompts.jsonl",
];
export const defaultWrongPlan = "0.1";

export const fitHelp = `npm run classifier -- fit [options]

Fits the classifier on the label file, the demo generator's tasks and constructed prompts. The same labels
give the same weights, byte for byte.

  --labels FILE   rows with source, prompt, and judged or parallel; may be given several times (default
                  ${defaultLabels.join(" and ")})
  --out FILE      the weights (default gateway/src/classifier/weights.json)
  --wrong-plan X  steps that a plan costs where nothing comes of it, as a share of an answer's steps, 0 to 1
                  (default ${defaultWrongPlan}); with what plans save it gives the threshold
  --json          print one JSON value to stdout: {version, threshold, examples}
`;

const options = {
  labels: { type: "string", multiple: true, default: defaultLabels },
  out: { type: "string", default: "gateway/src/classifier/weights.json" },
  "wrong-plan": { type: "string", default: defaultWrongPlan },
  json: { type: "boolean" },
} as const;

export async function fitCommand(argv: string[]) {
  const { values } = parseArgs({ args: argv, options });
  const wrongPlan = decimal("wrong-plan", values["wrong-plan"], 0, 1);
  const examples = trainingExamples(await readLabels(values.labels.map(fromRoot)));
  const file = packModel(fitModel(examples, { wrongPlan }));
  const out = fromRoot(values.out);
  await writeFile(out, `${JSON.stringify(file, null, 2)}\n`);
  const json = { version: file.version, threshold: file.threshold, examples: examples.length };
  return {
    json,
    text: `${json.examples} examples; version ${json.version}, threshold ${json.threshold}; written to ${out}\n`,
  };
}
