// Logistic regression over the classifier's features. The problem is convex and needs no seed, so a fit depends
// only on its examples. Words are seen as vectors of few values; what is fitted for these gives each word its
// weight.
import { cueNames, type Features } from "@anabranch/shared/classifier/features.ts";
import { type LinearModel, sigmoid } from "@anabranch/shared/classifier/model.ts";
import { shapeBuckets } from "@anabranch/shared/classifier/shapes.ts";
import { type Limits, minimise } from "./minimise.ts";
import { dims, wordWeights } from "./word-vectors.ts";

export interface Example {
  /**
   * Examples with labels of one origin. Each group has a bias of its own while the model is fitted, because
   * groups differ in how often an answer is parallel, and their labels in what they count as parallel.
   */
  group: number;
  features: Features;
  /** The sum of its words' vectors × `features.wordValue`: `dims` values. */
  vector: Float64Array;
  /** The chance that its answer is parallel. */
  target: number;
  weight: number;
}

export interface FitOptions extends Limits {
  /** L2 penalties, per unit of weight. */
  cuePenalty: number;
  shapePenalty: number;
  vectorPenalty: number;
  groupPenalty: number;
}

/** Where each kind of parameter begins. The bias is the first. */
function layoutOf(groups: number) {
  const cues = 1 + groups;
  const shapes = cues + cueNames.length;
  const vector = shapes + shapeBuckets;
  return { groups: 1, cues, shapes, vector, length: vector + dims };
}

type Layout = ReturnType<typeof layoutOf>;

function penaltiesOf(layout: Layout, options: FitOptions): Float64Array {
  const penalties = new Float64Array(layout.length);
  penalties.fill(options.groupPenalty, layout.groups, layout.cues);
  penalties.fill(options.cuePenalty, layout.cues, layout.shapes);
  penalties.fill(options.shapePenalty, layout.shapes, layout.vector);
  penalties.fill(options.vectorPenalty, layout.vector);
  return penalties;
}

/** Calls `each` with every parameter of an example and the value that it is multiplied by. */
function parametersOf(
  { group, features, vector }: Example,
  layout: Layout,
  each: (parameter: number, value: number) => void,
): void {
  const { cues, shapes, shapeValue } = features;
  each(0, 1);
  each(layout.groups + group, 1);
  for (let i = 0; i < cues.length; i++) if (cues[i]) each(layout.cues + i, cues[i] ?? 0);
  for (const bucket of shapes) each(layout.shapes + bucket, shapeValue);
  for (let i = 0; i < vector.length; i++) each(layout.vector + i, vector[i] ?? 0);
}

/** The examples as rows of parameters and values, one after another. */
function rowsOf(examples: readonly Example[], layout: Layout) {
  const starts = new Int32Array(examples.length + 1);
  const [parameters, values]: [number[], number[]] = [[], []];
  for (const [row, example] of examples.entries()) {
    parametersOf(example, layout, (parameter, value) => {
      parameters.push(parameter);
      values.push(value);
    });
    starts[row + 1] = parameters.length;
  }
  return { starts, parameters: Int32Array.from(parameters), values: Float64Array.from(values) };
}

/** The logarithm of 1 + exp(x). */
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

export function fit(examples: readonly Example[], options: FitOptions): LinearModel {
  const layout = layoutOf(examples.reduce((most, { group }) => Math.max(most, group + 1), 0));
  const penalties = penaltiesOf(layout, options);
  const { starts, parameters, values } = rowsOf(examples, layout);
  const total = examples.reduce((sum, { weight }) => sum + weight, 0);
  // The weighted mean log-loss plus the penalty.
  const loss = (at: Float64Array, slope: Float64Array) => {
    let sum = 0;
    for (let i = 0; i < at.length; i++) {
      const value = at[i] ?? 0;
      slope[i] = (penalties[i] ?? 0) * value;
      sum += ((penalties[i] ?? 0) / 2) * value * value;
    }
    for (const [row, { target, weight }] of examples.entries()) {
      const [start, end] = [starts[row] ?? 0, starts[row + 1] ?? 0];
      let odds = 0;
      for (let i = start; i < end; i++) odds += (at[parameters[i] ?? 0] ?? 0) * (values[i] ?? 0);
      sum += (weight / total) * (softplus(odds) - target * odds);
      const error = (weight / total) * (sigmoid(odds) - target);
      for (let i = start; i < end; i++) {
        const parameter = parameters[i] ?? 0;
        slope[parameter] = (slope[parameter] ?? 0) + error * (values[i] ?? 0);
      }
    }
    return sum;
  };
  const found = minimise(loss, new Float64Array(layout.length), options);
  return {
    bias: found[0] ?? 0,
    cues: found.slice(layout.cues, layout.shapes),
    shapes: found.slice(layout.shapes, layout.vector),
    words: wordWeights(found.slice(layout.vector)),
  };
}
