// Logistic regression over the classifier's features by full-batch accelerated gradient descent. The
// problem is convex and needs no seed, so a fit depends only on its examples.
import {
  buckets,
  cueNames,
  type LinearModel,
  logOdds,
} from "@anabranch/shared/classifier-features.ts";
import type { Example } from "./examples.ts";

export interface FitOptions {
  /** L2 penalty of n-gram weights. That of the cues, which are few, is a hundred times smaller. */
  l2: number;
  steps: number;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

interface Parameters extends LinearModel {
  bias: number;
  cues: number[];
  ngrams: Float64Array;
}

const zero = (): Parameters => ({
  bias: 0,
  cues: cueNames.map(() => 0),
  ngrams: new Float64Array(buckets),
});

/** The gradient of the weighted mean log-loss plus the penalty. */
function gradient(examples: readonly Example[], at: Parameters, l2: number): Parameters {
  const slope = zero();
  let total = 0;
  for (const { features, parallel, weight } of examples) {
    const error = weight * (sigmoid(logOdds(at, features)) - (parallel ? 1 : 0));
    total += weight;
    slope.bias += error;
    for (const [index, value] of features.cues.entries()) {
      slope.cues[index] = (slope.cues[index] ?? 0) + error * value;
    }
    for (const [bucket, value] of features.ngrams) {
      slope.ngrams[bucket] = (slope.ngrams[bucket] ?? 0) + error * value;
    }
  }
  slope.bias /= total;
  slope.cues = slope.cues.map((sum, index) => sum / total + 0.01 * l2 * (at.cues[index] ?? 0));
  slope.ngrams = slope.ngrams.map((sum, bucket) => sum / total + l2 * (at.ngrams[bucket] ?? 0));
  return slope;
}

function combine(a: Parameters, b: Parameters, factor: number): Parameters {
  const sum = (x: number, y: number | undefined) => x + factor * (y ?? 0);
  return {
    bias: sum(a.bias, b.bias),
    cues: a.cues.map((value, index) => sum(value, b.cues[index])),
    ngrams: a.ngrams.map((value, bucket) => sum(value, b.ngrams[bucket])),
  };
}

export function fit(examples: readonly Example[], { l2, steps }: FitOptions): LinearModel {
  // A quarter of the largest squared feature length bounds the curvature of the loss.
  const largest = Math.max(
    ...examples.map(({ features }) => 2 + features.cues.reduce((sum, cue) => sum + cue * cue, 0)),
  );
  const rate = 1 / (largest / 4 + l2);
  let at = zero();
  let extrapolated = at;
  for (let step = 1; step <= steps; step++) {
    const next = combine(extrapolated, gradient(examples, extrapolated, l2), -rate);
    extrapolated = combine(next, combine(next, at, -1), (step - 1) / (step + 2));
    at = next;
  }
  return at;
}
