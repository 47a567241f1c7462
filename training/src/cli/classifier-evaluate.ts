// npm run classifier -- evaluate: leaves one source out at a time, and measures beside baselines.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { decimal } from "@anabranch/shared/cli/options.ts";
import { reasonsChart, reliabilityChart } from "../classifier/charts.ts";
import { type Evaluation, evaluate, type SourceResult } from "../classifier/evaluate.ts";
import { testExamples, trainingExamples } from "../classifier/examples.ts";
import { fitModel } from "../classifier/fit-model.ts";
import { readLabels, readTestLabels } from "../classifier/prompt-label.ts";
import { defaultLabels, defaultWrongPlan } from "./classifier-fit.ts";
import { fromRoot } from "./paths.ts";

export const evaluateHelp = `npm run classifier -- evaluate [options]

For each source of labels, fits on all others and judges that source: area under the ROC curve, average
precision, Brier score, expected calibration error, and the rank correlation of predicted with measured
speed-up; beside the AUC of "short prompts are parallel", of keywords, and of one guess for all.

  --labels FILE   rows with source, prompt, and judged or parallel; may be given several times (default
                  ${defaultLabels.join(" and ")})
  --test FILE     rows with prompt and label (0 or 1), of which nothing is learned
  --charts DIR    write a reliability diagram and the strongest reasons as SVG
  --wrong-plan X  as in \`fit\` (default ${defaultWrongPlan})
  --json          print one JSON value to stdout
`;

const options = {
  labels: { type: "string", multiple: true, default: defaultLabels },
  test: { type: "string" },
  charts: { type: "string" },
  "wrong-plan": { type: "string", default: defaultWrongPlan },
  json: { type: "boolean" },
} as const;

const fixed = (value: number | null) => (value === null ? "-" : value.toFixed(3));

function rowOf(result: SourceResult): string {
  const { source, examples, parallel, baselines, speedup, measured } = result;
  const values = [
    ...[result.auc, result.averagePrecision, result.brier, result.ece].map(fixed),
    speedup === null ? "-" : `${fixed(speedup)} (${measured})`,
    ...[baselines.length, baselines.keywords, baselines.majority].map(fixed),
  ];
  return `| ${source} | ${examples} | ${(100 * parallel).toFixed(0)}% | ${values.join(" | ")} |`;
}

function textOf({ sources, mean, pooled, latency, test }: Evaluation): string {
  const head = [
    "| source | prompts | parallel | AUC | average precision | Brier | calibration error | speed-up | length | keywords | majority |",
    `|---${"|---:".repeat(10)}|`,
  ];
  const lines = [
    ...head,
    ...sources.map(rowOf),
    ...(test ? [rowOf(test)] : []),
    "",
    `means: AUC ${fixed(mean.auc)} (best baseline ${fixed(mean.baseline)}), average precision ${fixed(mean.averagePrecision)}, Brier ${fixed(mean.brier)}, calibration error ${fixed(mean.ece)}`,
    `all together: AUC ${fixed(pooled.auc)}, Brier ${fixed(pooled.brier)}, calibration error ${fixed(pooled.ece)}`,
    `a prompt of ${latency.characters} characters: p50 ${latency.p50} µs, p99 ${latency.p99} µs`,
  ];
  return `${lines.join("\n")}\n`;
}

export async function evaluateCommand(argv: string[]) {
  const { values } = parseArgs({ args: argv, options });
  const costs = { wrongPlan: decimal("wrong-plan", values["wrong-plan"], 0, 1) };
  const examples = trainingExamples(await readLabels(values.labels.map(fromRoot)));
  const test = values.test ? testExamples(await readTestLabels(fromRoot(values.test))) : null;
  const json = evaluate(examples, test, costs, (line) => process.stderr.write(`${line}\n`));
  if (values.charts !== undefined) {
    const folder = fromRoot(values.charts);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "classifier-reliability.svg"), reliabilityChart(json.reliability));
    const model = fitModel(examples, costs);
    await writeFile(join(folder, "classifier-reasons.svg"), reasonsChart(model, examples));
  }
  return { json, text: textOf(json) };
}
