// How well probabilities tell parallel prompts from serial ones.

export interface Judged {
  probability: number;
  parallel: boolean;
}

export interface Scores {
  examples: number;
  /** Share of parallel answers. */
  parallel: number;
  /** Area under the ROC curve; null where all examples are alike. */
  auc: number | null;
  /** Share of right decisions at probability 0.5. */
  accuracy: number;
  brier: number;
  /** Expected calibration error over ten equal bins. */
  ece: number;
}

/** The chance that a parallel example scores above a serial one, ties counting half. */
export function auc(judged: readonly Judged[]): number | null {
  const sorted = [...judged].sort((a, b) => a.probability - b.probability);
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

export function scores(judged: readonly Judged[]): Scores {
  let ece = 0;
  for (let bin = 0; bin < 10; bin++) {
    const inside = judged.filter(
      ({ probability }) => Math.min(9, Math.floor(probability * 10)) === bin,
    );
    const gap =
      mean(inside.map(({ probability }) => probability)) -
      mean(inside.map(({ parallel }) => Number(parallel)));
    ece += (Math.abs(gap) * inside.length) / judged.length;
  }
  return {
    examples: judged.length,
    parallel: mean(judged.map(({ parallel }) => Number(parallel))),
    auc: auc(judged),
    accuracy: mean(
      judged.map(({ probability, parallel }) => Number(probability >= 0.5 === parallel)),
    ),
    brier: mean(judged.map(({ probability, parallel }) => (probability - Number(parallel)) ** 2)),
    ece,
  };
}
