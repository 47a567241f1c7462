// A fitted classifier: a logistic model of whether an answer has independent parts, a linear one of the
// logarithm of its speed-up.
import { cueNames, type Features } from "./features.ts";
import { shapeBuckets } from "./shapes.ts";

/** One value for each feature. */
export interface LinearModel {
  bias: number;
  /** In the order of `cueNames`. */
  cues: ArrayLike<number>;
  /** One weight a bucket. */
  shapes: ArrayLike<number>;
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

export function linear(model: LinearModel, { cues, shapes, shapeValue }: Features): number {
  let sum = 0;
  for (const bucket of shapes) sum += model.shapes[bucket] ?? 0;
  sum = model.bias + sum * shapeValue;
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
  /** Weights are `scale` × signed bytes, in base64, one a bucket. */
  shapes: { scale: number; bytes: string };
}

/** @throws Error if the file is of other features */
export function readModel({ version, threshold, speedup, bias, cues, shapes }: ModelFile): Model {
  const bytes = Int8Array.from(atob(shapes.bytes), (letter) => letter.charCodeAt(0));
  if (bytes.length !== shapeBuckets)
    throw new Error(`the classifier needs ${shapeBuckets} weights`);
  const ordered = cueNames.map((name) => {
    const weight = cues[name];
    if (weight === undefined) throw new Error(`the classifier has no weight for ${name}`);
    return weight;
  });
  const weights = Float64Array.from(bytes, (byte) => byte * shapes.scale);
  return { version, threshold, speedup, parallel: { bias, cues: ordered, shapes: weights } };
}
