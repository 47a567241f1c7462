// How well predictions tell parallel prompts from serial ones.

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
  /** Mean precision at each parallel example; null without any. */
  averagePrecision: number | null;
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

/** Examples of equal probability count as one threshold. */
export function averagePrecision(predictions: readonly Prediction[]): number | null {
  const sorted = [...predictions].sort((a, b) => b.probability - a.probability);
  const positives = sorted.filter(({ parallel }) => parallel).length;
  if (positives === 0) return null;
  let [found, sum] = [0, 0];
  for (let start = 0; start < sorted.length; ) {
    let end = start;
    let here = 0;
    for (; sorted[end] && sorted[end]?.probability === sorted[start]?.probability; end++) {
      here += Number(sorted[end]?.parallel);
    }
    found += here;
    sum += here * (found / end);
    start = end;
  }
  return sum / positives;
}

const mean = (values: readonly number[]) =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

export interface ReliabilityBin {
  /** Mean predicted probability. */
  predicted: number;
  /** Share of parallel examples. */
  observed: number;
  examples: number;
}

/** Ten bins of equal width; empty ones are left out. */
export function reliability(predictions: readonly Prediction[]): ReliabilityBin[] {
  return Array.from({ length: 10 }, (_, bin) => {
    const inside = predictions.filter(
      ({ probability }) => Math.min(9, Math.floor(probability * 10)) === bin,
    );
    return {
      predicted: mean(inside.map(({ probability }) => probability)),
      observed: mean(inside.map(({ parallel }) => Number(parallel))),
      examples: inside.length,
    };
  }).filter(({ examples }) => examples > 0);
}

export function scores(predictions: readonly Prediction[]): Scores {
  const gaps = reliability(predictions).map(
    ({ predicted, observed, examples }) => Math.abs(predicted - observed) * examples,
  );
  return {
    examples: predictions.length,
    parallel: mean(predictions.map(({ parallel }) => Number(parallel))),
    auc: auc(predictions),
    averagePrecision: averagePrecision(predictions),
    brier: mean(
      predictions.map(({ probability, parallel }) => (probability - Number(parallel)) ** 2),
    ),
    ece: gaps.reduce((sum, gap) => sum + gap, 0) / Math.max(1, predictions.length),
  };
}

/** Spearman's rank correlation; null for fewer than three pairs or if one side is constant. */
export function rankCorrelation(a: readonly number[], b: readonly number[]): number | null {
  const [x, y] = [ranksOf(a), ranksOf(b)];
  const [mx, my] = [mean(x), mean(y)];
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const [dx, dy] = [(x[i] ?? 0) - mx, (y[i] ?? 0) - my];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return x.length < 3 || xx === 0 || yy === 0 ? null : xy / Math.sqrt(xx * yy);
}

function ranksOf(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => (values[i] ?? 0) - (values[j] ?? 0));
  const ranks = new Array<number>(values.length).fill(0);
  for (let start = 0; start < order.length; ) {
    let end = start;
    const valueAt = (at: number) => values[order[at] ?? 0];
    while (end < order.length && valueAt(end) === valueAt(start)) end++;
    for (let i = start; i < end; i++) ranks[order[i] ?? 0] = (start + end + 1) / 2;
    start = end;
  }
  return ranks;
}
