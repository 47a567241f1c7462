// A fitted classifier: a logistic model of whether an answer has independent parts, a linear one of the
// logarithm of its speed-up.
import { cueNames, type Features } from "./features.ts";
import { shapeBuckets } from "./shapes.ts";
import { wordCount } from "./words.ts";

/** One value for each feature. */
export interface LinearModel {
  bias: number;
  /** In the order of `cueNames`. */
  cues: ArrayLike<number>;
  /** One weight a bucket. */
  shapes: ArrayLike<number>;
  /** One weight a word. */
  words: ArrayLike<number>;
}

export interface Model {
  /** Names these weights; part of what a cached answer is kept under. */
  version: string;
  /** Log-odds, calibrated, that a good answer is a list of independent points. */
  parallel: LinearModel;
  /** The logarithm of the expected speed-up is `slope` × the log-odds + `bias`, and at least 0. */
  speedup: { slope: number; bias: number };
  /** From this probability on the mode is parallel. */
  threshold: number;
}

export function linear(model: LinearModel, features: Features): number {
  const { cues, shapes, shapeValue, words, wordValue } = features;
  let [ofShapes, ofWords] = [0, 0];
  for (const bucket of shapes) ofShapes += model.shapes[bucket] ?? 0;
  for (const word of words) ofWords += model.words[word] ?? 0;
  let sum = model.bias + ofShapes * shapeValue + ofWords * wordValue;
  for (let i = 0; i < cues.length; i++) sum += (cues[i] ?? 0) * (model.cues[i] ?? 0);
  return sum;
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** The committed form of a model. */
export interface ModelFile {
  version: string;
  threshold: number;
  speedup: { slope: number; bias: number };
  bias: number;
  cues: Record<string, number>;
  /** One weight a bucket. */
  shapes: PackedWeights;
  /** One weight a word. */
  words: PackedWeights;
}

/** Weights are `scale` × signed bytes, in base64. */
export interface PackedWeights {
  scale: number;
  bytes: string;
}

/** @throws Error if there are not `count` weights */
export function unpack({ scale, bytes }: PackedWeights, count: number): Float64Array {
  const values = Int8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
  if (values.length !== count) {
    throw new Error(`the classifier needs ${count} weights, and there are ${values.length}`);
  }
  return Float64Array.from(values, (value) => value * scale);
}

/** @throws Error if the file is of other features */
export function readModel(file: ModelFile): Model {
  const { version, threshold, speedup, bias } = file;
  const cues = cueNames.map((name) => {
    const weight = file.cues[name];
    if (weight === undefined) throw new Error(`the classifier has no weight for ${name}`);
    return weight;
  });
  const shapes = unpack(file.shapes, shapeBuckets);
  const words = unpack(file.words, wordCount);
  return { version, threshold, speedup, parallel: { bias, cues, shapes, words } };
}
