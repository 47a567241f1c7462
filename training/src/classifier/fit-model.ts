// Fits, calibrates and packs the classifier.
import { createHash } from "node:crypto";
import { cueNames } from "@anabranch/shared/classifier/features.ts";
import {
  type LinearModel,
  linear,
  type Model,
  type ModelFile,
  type PackedWeights,
  readModel,
  sigmoid,
} from "@anabranch/shared/classifier/model.ts";
import type { LabelledExample } from "./examples.ts";
import { type FitOptions, fit } from "./logistic.ts";
import { thresholdFrom } from "./measured-threshold.ts";

/** Chosen by the mean AUC of sources left out (`npm run classifier -- evaluate`). */
export const fitOptions: FitOptions = {
  cuePenalty: 1e-4,
  shapePenalty: 1e-4,
  vectorPenalty: 5e-5,
  groupPenalty: 1e-6,
  steps: 400,
  slope: 1e-5,
};

export interface Costs {
  /** Steps that a plan costs where nothing comes of it, as a share of the answer's. */
  wrongPlan: number;
}

interface Scored {
  odds: number;
  target: number;
  weight: number;
}

/** Keeps `slope` near 1 and `bias` near 0 where all targets match already. */
const calibrationPenalty = 1e-3;

/** Of log-odds: `slope` × them + `bias`. */
interface Calibration {
  slope: number;
  bias: number;
}

/** The weighted mean log-loss plus the penalty. */
function calibrationLoss(scored: readonly Scored[], { slope, bias }: Calibration): number {
  let [sum, total] = [0, 0];
  for (const { odds, target, weight } of scored) {
    const x = slope * odds + bias;
    sum += weight * (Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))) - target * x);
    total += weight;
  }
  return sum / total + (calibrationPenalty / 2) * ((slope - 1) ** 2 + bias ** 2);
}

/** What makes log-odds match targets best: Platt scaling by Newton's method, in steps that never lose. */
function calibrate(scored: readonly Scored[]): Calibration {
  let at: Calibration = { slope: 1, bias: 0 };
  const total = scored.reduce((sum, { weight }) => sum + weight, 0);
  for (let step = 0; step < 25 && total > 0; step++) {
    let [g0, g1] = [calibrationPenalty * (at.slope - 1), calibrationPenalty * at.bias];
    let [h00, h01, h11] = [calibrationPenalty, 0, calibrationPenalty];
    for (const { odds, target, weight } of scored) {
      const p = sigmoid(at.slope * odds + at.bias);
      const [error, curve] = [(weight / total) * (p - target), (weight / total) * p * (1 - p)];
      g0 += error * odds;
      g1 += error;
      h00 += curve * odds * odds;
      h01 += curve * odds;
      h11 += curve;
    }
    const determinant = h00 * h11 - h01 * h01;
    const [slope, bias] = [
      (h11 * g0 - h01 * g1) / determinant,
      (h00 * g1 - h01 * g0) / determinant,
    ];
    const now = calibrationLoss(scored, at);
    for (let part = 1; part > 1e-6; part /= 2) {
      const next = { slope: at.slope - part * slope, bias: at.bias - part * bias };
      if (calibrationLoss(scored, next) > now) continue;
      at = next;
      break;
    }
  }
  return at;
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

/** A model of all examples, calibrated on each source by a model that did not see it. */
export function fitModel(examples: readonly LabelledExample[], costs: Costs): Model {
  const raw = fit(examples, fitOptions);
  const groups = [...new Set(examples.map(({ group }) => group))];
  const scored: Scored[] = [];
  for (const out of groups) {
    const rest = examples.filter(({ group }) => group !== out);
    if (rest.length === 0) continue;
    const model = fit(rest, fitOptions);
    for (const { group, features, target, weight } of examples) {
      if (group === out) scored.push({ odds: linear(model, features), target, weight });
    }
  }
  const { slope, bias } = calibrate(scored);
  const parallel: LinearModel = {
    bias: slope * raw.bias + bias,
    cues: Float64Array.from(raw.cues, (weight) => slope * weight),
    shapes: Float64Array.from(raw.shapes, (weight) => slope * weight),
    words: Float64Array.from(raw.words, (weight) => slope * weight),
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
  const round = (value: number) => Number(value.toPrecision(5));
  const pack = (weights: ArrayLike<number>): PackedWeights => {
    const most = Array.from(weights).reduce((max, weight) => Math.max(max, Math.abs(weight)), 1e-9);
    const bytes = Int8Array.from(weights, (weight) => Math.round((127 * weight) / most));
    return { scale: round(most / 127), bytes: Buffer.from(bytes.buffer).toString("base64") };
  };
  const weights = {
    threshold: round(threshold),
    speedup: { slope: round(speedup.slope), bias: round(speedup.bias) },
    bias: round(parallel.bias),
    cues: Object.fromEntries(cueNames.map((name, i) => [name, round(parallel.cues[i] ?? 0)])),
    shapes: pack(parallel.shapes),
    words: pack(parallel.words),
  };
  const version = createHash("sha256").update(JSON.stringify(weights)).digest("hex").slice(0, 12);
  return { version, ...weights };
}

/** The model as it is after packing. */
export const packed = (model: Model): Model => readModel(packModel(model));
