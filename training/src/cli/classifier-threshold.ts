// npm run classifier -- threshold: from which probability on branching pays for a model.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { judge } from "@anabranch/shared/classifier/judge.ts";
import { type ModelFile, readModel } from "@anabranch/shared/classifier/model.ts";
import { oneOf, required } from "@anabranch/shared/cli/options.ts";
import { measuredThreshold, readMeasured, savingOf } from "../classifier/measured-threshold.ts";
import { fromRoot } from "./paths.ts";

export const thresholdHelp = `npm run classifier -- threshold --pairs FILE [options]

Computes a model's threshold: the probability from which on what branching saves is expected to be more than what a plan
costs that comes to nothing. Both are measured in answers of the model, with and without branches, of

  npm run evaluate -- --model MODEL --mode parallel --against-mode serial --out FILE

as time per visible token, or as decode steps: steps are the same on every machine, and time has what steps don't say, as an
adapter that serial answers do without. A worker gets it with --auto-threshold. Also printed is what \`auto\` would have saved on
the same prompts: with this threshold, with the gateway's own, and if it were always parallel.

  --pairs FILE    the answers
  --by WHAT       time or steps (default time)
  --weights FILE  of \`npm run classifier -- fit\` (default gateway/src/classifier/weights.json)
  --json          print one JSON value to stdout: {prompts, branched, gain, cost, threshold, saved}
`;

const options = {
  pairs: { type: "string" },
  by: { type: "string", default: "time" },
  weights: { type: "string", default: "gateway/src/classifier/weights.json" },
  json: { type: "boolean" },
} as const;

const percent = (share: number) => `${(100 * share).toFixed(1)}%`;

export async function thresholdCommand(argv: string[]) {
  const { values } = parseArgs({ args: argv, options });
  const model = readModel(JSON.parse(readFileSync(fromRoot(values.weights), "utf8")) as ModelFile);
  const by = oneOf("by", values.by, ["time", "steps"]);
  const pairs = fromRoot(required("pairs", values.pairs));
  const measured = await readMeasured(pairs, by === "time" ? "ms" : "steps");
  if (measured.length === 0) throw new Error(`${values.pairs} has no pair of answers with text`);
  const found = measuredThreshold(measured);
  const savedFrom = (threshold: number) =>
    savingOf(
      measured.map(({ prompt, ratio }) =>
        judge({ ...model, threshold }, prompt).mode === "parallel" ? ratio : 1,
      ),
    );
  const saved = {
    measured: savedFrom(found.threshold),
    usual: savedFrom(model.threshold),
    parallel: savedFrom(0),
  };
  const text = `${found.branched} of ${found.prompts} answers branched and saved ${percent(found.gain)} of their ${by}; the others cost ${percent(found.cost)}
--auto-threshold ${found.threshold.toFixed(3)}
saved on these prompts: ${percent(saved.measured)}; with the usual threshold (${model.threshold}) ${percent(saved.usual)}; always parallel ${percent(saved.parallel)}
`;
  return { json: { ...found, saved }, text };
}
