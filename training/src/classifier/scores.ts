// How well predicted probabilities separate parallel prompts from serial ones.

export interface Prediction {
  probability: number;
  parallel: boolean;
}

export interface Scores {
  examples: number;
  /** Share of parallel examples. */
  parallel: number;
  /** Area under the ROC curve; null if all examples have the same label. */
  auc: number | null;
  /** Share of correct decisions at a threshold of 0.5. */
  accuracy: number;
  brier: number;
  /** Expected calibration error over ten bins of equal width. */
  ece: number;
}

/** The probability that a parallel example scores above a serial one; ties count half. */
export function auc(predictions: readonly Prediction[]): number | null {
  const sorted = [...predictions].sort((a, b) => a.probability - b.probability);
  const positives = sorted.filter(({ parallel }) => parallel).length;
  const negatives = sorted.length - positives;
  if (positives === 0 || negatives === 0) return null;
  let ranks = 0;
  for (let start = 0; start < sorted.length; ) {
    let end = start;
    while (end < sorted.length && sorted[end]?.probability === sorted[start]?.probability) end++;
    const rank = (start + 1 + end) / 2;
    ranks += rank * sorted.slice(start, end).filter(({ parallel }) => parallel).length;
    start = end;
  }
  return (ranks - (positives * (positives + 1)) / 2) / (positives * negatives);
}

const mean = (values: readonly number[]) =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

export function scores(predictions: readonly Prediction[]): Scores {
  let ece = 0;
  for (let bin = 0; bin < 10; bin++) {
    const inside = predictions.filter(
      ({ probability }) => Math.min(9, Math.floor(probability * 10)) === bin,
    );
    const gap =
      mean(inside.map(({ probability }) => probability)) -
      mean(inside.map(({ parallel }) => Number(parallel)));
    ece += (Math.abs(gap) * inside.length) / predictions.length;
  }
  return {
    examples: predictions.length,
    parallel: mean(predictions.map(({ parallel }) => Number(parallel))),
    auc: auc(predictions),
    accuracy: mean(
      predictions.map(({ probability, parallel }) => Number(probability >= 0.5 === parallel)),
    ),
    brier: mean(
      predictions.map(({ probability, parallel }) => (probability - Number(parallel)) ** 2),
    ),
    ece,
  };
}
