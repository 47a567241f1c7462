// npm run classifier: fits the classifier that decides between serial and parallel answers.
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import {
  type ClassifierWeights,
  cueNames,
  type LinearModel,
  logOdds,
  readWeights,
} from "@anabranch/shared/classifier-features.ts";
import { hash } from "@anabranch/shared/hash.ts";
import { demoExamples, type Example, realExamples } from "../classifier/examples.ts";
import { fit } from "../classifier/logistic.ts";
import { type Prediction, type Scores, scores } from "../classifier/scores.ts";
import { fromRoot } from "./paths.ts";

const help = `npm run classifier -- fit [--data FOLDER] [--out FILE] [--json]

Fits the classifier that decides between serial and parallel answers in mode \`auto\`, and scores it on
prompts that it was not fitted on: five folds by prompt for real answers, and held-out tasks of the
generator for the demo. The written weights are fitted on all data but those held-out tasks.

  --data FOLDER   real answers (default ../shared/data)
  --out FILE      file for the weights (default gateway/src/classifier/weights.json); - for none
  --json          print the summary on one line

Paths are relative to the repository root. Progress goes to stderr.`;

const folds = 5;
const options = { l2: 1e-4, steps: 300 };
const demoTasks = 3_000;
const demoHeldOut = 1_000;

export interface FitSummary {
  version: string;
  /** Of held-out examples of all sources together. */
  auc: number | null;
  heldOut: Record<string, Scores>;
}

const probability = (model: LinearModel, { features }: Example) =>
  1 / (1 + Math.exp(-logOdds(model, features)));

interface Outcome extends Prediction {
  source: string;
}

function predict(model: LinearModel, examples: readonly Example[]): Outcome[] {
  return examples.map((example) => ({
    source: example.source,
    parallel: example.parallel,
    probability: probability(model, example),
  }));
}

/** Rounds weights to the committed format. The written weights are scored in this form. */
function pack(model: LinearModel): ClassifierWeights {
  const ngrams = Array.from(model.ngrams);
  const scale = Math.max(...ngrams.map(Math.abs)) / 127;
  const bytes = Int8Array.from(ngrams, (weight) => Math.round(weight / scale));
  const round = (value: number) => Number(value.toPrecision(6));
  const weights = {
    bias: round(model.bias),
    cues: Object.fromEntries(cueNames.map((name, index) => [name, round(model.cues[index] ?? 0)])),
    ngrams: { scale: round(scale), bytes: Buffer.from(bytes.buffer).toString("base64") },
  };
  const version = createHash("sha256").update(JSON.stringify(weights)).digest("hex").slice(0, 12);
  return { version, ...weights };
}

function fitAndScore(data: string): { weights: ClassifierWeights; summary: FitSummary } {
  process.stderr.write("reading answers\n");
  const demo = demoExamples(demoTasks, "train");
  const real = realExamples(data);
  const outcomes: Outcome[] = [];
  for (let fold = 0; fold < folds; fold++) {
    process.stderr.write(`fold ${fold + 1} of ${folds}\n`);
    // All answers to one prompt are in the same fold.
    const inFold = ({ prompt }: Example) => hash(prompt) % folds === fold;
    const model = fit([...demo, ...real.filter((example) => !inFold(example))], options);
    outcomes.push(...predict(model, real.filter(inFold)));
  }
  process.stderr.write("all folds\n");
  const weights = pack(fit([...demo, ...real], options));
  outcomes.push(...predict(readWeights(weights), demoExamples(demoHeldOut, "heldout")));

  const heldOut: Record<string, Scores> = { all: scores(outcomes) };
  for (const source of new Set(outcomes.map((outcome) => outcome.source))) {
    heldOut[source] = scores(outcomes.filter((outcome) => outcome.source === source));
  }
  const { version } = weights;
  return { weights, summary: { version, auc: heldOut.all?.auc ?? null, heldOut } };
}

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      data: { type: "string", default: "../shared/data" },
      out: { type: "string", default: "gateway/src/classifier/weights.json" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help || positionals[0] !== "fit") {
    process[values.help ? "stdout" : "stderr"].write(`${help}\n`);
    return values.help ? 0 : 2;
  }
  const { weights, summary } = fitAndScore(fromRoot(values.data));
  if (values.out !== "-") {
    const out = fromRoot(values.out);
    writeFileSync(out, `${JSON.stringify(weights, null, 2)}\n`);
    process.stderr.write(`written to ${out}\n`);
  }
  if (values.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
  else process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
  return 0;
}

if (import.meta.main) {
  try {
    process.exitCode = main();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    process.exitCode = 1;
  }
}
