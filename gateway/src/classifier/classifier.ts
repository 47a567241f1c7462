// Decides for mode `auto` whether the answer to a prompt is likely to have independent parts. The model is
// linear, so that it costs microseconds. `npm run classifier` (training/) fits its weights.
import { featuresOf, logOdds, readWeights } from "@anabranch/shared/classifier-features.ts";
import weights from "./weights.json" with { type: "json" };

const model = readWeights(weights);

export const version: string = weights.version;

/** The probability that an answer to `prompt` has parts that could be written in parallel. */
export function parallelProbability(prompt: string): number {
  return 1 / (1 + Math.exp(-logOdds(model, featuresOf(prompt))));
}

export function classify(prompt: string): "serial" | "parallel" {
  return parallelProbability(prompt) >= 0.5 ? "parallel" : "serial";
}
