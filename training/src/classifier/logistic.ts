// Logistic regression over the classifier's features by full-batch accelerated gradient descent. The
// problem is convex and needs no seed, so a fit depends only on its examples.
import { cueNames, type Features } from "@anabranch/shared/classifier/features.ts";
import { type LinearModel, linear, sigmoid } from "@anabranch/shared/classifier/model.ts";
import { shapeBuckets } from "@anabranch/shared/classifier/shapes.ts";

export interface Example {
  /**
   * Examples with labels of one origin. Each group has a bias of its own while the model is fitted, because
   * groups differ in how often an answer is parallel, and their labels in what they count as parallel.
   */
  group: number;
  features: Features;
  /** The chance that its answer is parallel. */
  target: number;
  weight: number;
}

export interface FitOptions {
  /** L2 penalties, per unit of weight. */
  cuePenalty: number;
  shapePenalty: number;
  groupPenalty: number;
  steps: number;
}

interface Parameters extends LinearModel {
  cues: Float64Array;
  shapes: Float64Array;
  /** One a group, beside `bias`. */
  groups: Float64Array;
}

const zero = (groups: number): Parameters => ({
  bias: 0,
  groups: new Float64Array(groups),
  cues: new Float64Array(cueNames.length),
  shapes: new Float64Array(shapeBuckets),
});

/** The gradient of the weighted mean log-loss plus the penalty. */
function gradient(examples: readonly Example[], at: Parameters, options: FitOptions): Parameters {
  const slope = zero(at.groups.length);
  let total = 0;
  for (const { group, features, target, weight } of examples) {
    const odds = linear(at, features) + (at.groups[group] ?? 0);
    const error = weight * (sigmoid(odds) - target);
    total += weight;
    slope.bias += error;
    slope.groups[group] = (slope.groups[group] ?? 0) + error;
    const { cues, shapes, shapeValue } = features;
    for (let i = 0; i < cues.length; i++) {
      slope.cues[i] = (slope.cues[i] ?? 0) + error * (cues[i] ?? 0);
    }
    for (const bucket of shapes) {
      slope.shapes[bucket] = (slope.shapes[bucket] ?? 0) + error * shapeValue;
    }
  }
  const { cuePenalty, shapePenalty, groupPenalty } = options;
  return {
    bias: slope.bias / total,
    groups: slope.groups.map((sum, i) => sum / total + groupPenalty * (at.groups[i] ?? 0)),
    cues: slope.cues.map((sum, i) => sum / total + cuePenalty * (at.cues[i] ?? 0)),
    shapes: slope.shapes.map((sum, i) => sum / total + shapePenalty * (at.shapes[i] ?? 0)),
  };
}

function combine(a: Parameters, b: Parameters, factor: number): Parameters {
  const sum = (x: number, y: number | undefined) => x + factor * (y ?? 0);
  return {
    bias: sum(a.bias, b.bias),
    groups: a.groups.map((value, index) => sum(value, b.groups[index])),
    cues: a.cues.map((value, index) => sum(value, b.cues[index])),
    shapes: a.shapes.map((value, bucket) => sum(value, b.shapes[bucket])),
  };
}

export function fit(examples: readonly Example[], options: FitOptions): LinearModel {
  // A quarter of the largest squared feature length bounds the curvature of the loss.
  const lengths = examples.map(({ features }) =>
    features.cues.reduce((sum, cue) => sum + cue * cue, 3),
  );
  const largest = lengths.reduce((most, length) => Math.max(most, length), 3);
  const rate = 1 / (largest / 4 + Math.max(options.cuePenalty, options.shapePenalty));
  let at = zero(examples.reduce((most, { group }) => Math.max(most, group + 1), 0));
  let extrapolated = at;
  for (let step = 1; step <= options.steps; step++) {
    const next = combine(extrapolated, gradient(examples, extrapolated, options), -rate);
    extrapolated = combine(next, combine(next, at, -1), (step - 1) / (step + 2));
    at = next;
  }
  return at;
}
