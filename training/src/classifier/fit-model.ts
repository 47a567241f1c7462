// Fits, calibrates and packs the classifier.
import { createHash } from "node:crypto";
import { cueNames } from "@anabranch/shared/classifier/features.ts";
import {
  type LinearModel,
  linear,
  type Model,
  type ModelFile,
  readModel,
  sigmoid,
} from "@anabranch/shared/classifier/model.ts";
import type { LabelledExample } from "./examples.ts";
import { type FitOptions, fit } from "./logistic.ts";
import { thresholdFrom } from "./measured-threshold.ts";

/** Chosen by the mean AUC of sources left out (`npm run classifier -- evaluate`). */
export const fitOptions: FitOptions = {
  cuePenalty: 3e-3,
  shapePenalty: 3e-3,
  groupPenalty: 1e-6,
  steps: 120,
};

/** Sources are calibrated on models that did not see them, in this many turns. */
const folds = 3;

export interface Costs {
  /** Steps that a plan costs where nothing comes of it, as a share of the answer's. */
  wrongPlan: number;
}

interface Scored {
  odds: number;
  target: number;
  weight: number;
}

/** `slope` and `bias` that make log-odds match targets best: Platt scaling by Newton's method. */
function calibrate(scored: readonly Scored[]): { slope: number; bias: number } {
  let [slope, bias] = [1, 0];
  for (let step = 0; step < 25; step++) {
    let [g0, g1, h00, h01, h11] = [0, 0, 1e-9, 0, 1e-9];
    for (const { odds, target, weight } of scored) {
      const p = sigmoid(slope * odds + bias);
      const [error, curve] = [weight * (p - target), weight * p * (1 - p)];
      g0 += error * odds;
      g1 += error;
      h00 += curve * odds * odds;
      h01 += curve * odds;
      h11 += curve;
    }
    const determinant = h00 * h11 - h01 * h01;
    slope -= (h11 * g0 - h01 * g1) / determinant;
    bias -= (h00 * g1 - h01 * g0) / determinant;
  }
  return { slope, bias };
}

/** Least squares of the logarithm of measured speed-ups on log-odds. */
function speedupLine(examples: readonly LabelledExample[], odds: (e: LabelledExample) => number) {
  let [n, x, y, xx, xy] = [0, 0, 0, 0, 0];
  for (const example of examples) {
    if (example.speedup === null) continue;
    const [at, log, w] = [odds(example), Math.log(example.speedup), example.weight];
    n += w;
    x += w * at;
    y += w * log;
    xx += w * at * at;
    xy += w * at * log;
  }
  const determinant = n * xx - x * x;
  if (n === 0 || determinant <= 0) return { slope: 0, bias: 0 };
  const slope = (n * xy - x * y) / determinant;
  return { slope, bias: (y - slope * x) / n };
}

/** From the probability on at which what a plan saves outweighs what it costs where nothing comes of it. */
function thresholdOf(examples: readonly LabelledExample[], { wrongPlan }: Costs): number {
  const gains = examples.flatMap(({ speedup }) =>
    speedup !== null && speedup >= 1.2 ? [1 - 1 / speedup] : [],
  );
  if (gains.length === 0) return 0.5;
  const gain = gains.reduce((sum, each) => sum + each, 0) / gains.length;
  return thresholdFrom(gain, wrongPlan);
}

/** A model of all examples, calibrated on sources that were left out in turn. */
export function fitModel(examples: readonly LabelledExample[], costs: Costs): Model {
  const raw = fit(examples, fitOptions);
  const groups = [...new Set(examples.map(({ group }) => group))];
  const scored: Scored[] = [];
  for (let fold = 0; fold < folds; fold++) {
    const out = new Set(groups.filter((_, i) => i % folds === fold));
    const rest = examples.filter(({ group }) => !out.has(group));
    if (out.size === 0 || rest.length === 0) continue;
    const model = fit(rest, fitOptions);
    for (const example of examples) {
      if (!out.has(example.group)) continue;
      const { features, target, weight } = example;
      scored.push({ odds: linear(model, features), target, weight });
    }
  }
  const { slope, bias } = calibrate(scored);
  const parallel: LinearModel = {
    bias: slope * raw.bias + bias,
    cues: Float64Array.from(raw.cues, (weight) => slope * weight),
    shapes: Float64Array.from(raw.shapes, (weight) => slope * weight),
  };
  return {
    version: "",
    parallel,
    speedup: speedupLine(examples, ({ features }) => linear(parallel, features)),
    threshold: thresholdOf(examples, costs),
  };
}

/** Rounds a model to its committed form, and names it. */
export function packModel({ parallel, speedup, threshold }: Model): ModelFile {
  const shapes = Array.from(parallel.shapes);
  const scale = shapes.reduce((most, weight) => Math.max(most, Math.abs(weight)), 1e-9) / 127;
  const bytes = Int8Array.from(shapes, (weight) => Math.round(weight / scale));
  const round = (value: number) => Number(value.toPrecision(5));
  const weights = {
    threshold: round(threshold),
    speedup: { slope: round(speedup.slope), bias: round(speedup.bias) },
    bias: round(parallel.bias),
    cues: Object.fromEntries(cueNames.map((name, i) => [name, round(parallel.cues[i] ?? 0)])),
    shapes: { scale: round(scale), bytes: Buffer.from(bytes.buffer).toString("base64") },
  };
  const version = createHash("sha256").update(JSON.stringify(weights)).digest("hex").slice(0, 12);
  return { version, ...weights };
}

/** The model as it is after packing. */
export const packed = (model: Model): Model => readModel(packModel(model));
