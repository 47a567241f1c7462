// Means with the interval in which they lie with a probability of 95%.

/** `low` and `high` are null for fewer than two values, and all are null for none. */
export interface Interval {
  mean: number | null;
  low: number | null;
  high: number | null;
  /** Number of values. */
  n: number;
}

/** A mean of ratios, with the largest. */
export interface RatioInterval extends Interval {
  max: number | null;
}

/** The normal distribution's quantile at 97.5%. */
const normal = 1.959964;

/** 97.5% quantiles for one to five degrees of freedom, where the series below is too rough. */
const fewDegrees = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706];

/** Quantile of Student's t at 97.5%: the Cornish-Fisher expansion around the normal one. */
export function studentsT(degrees: number): number {
  const exact = fewDegrees[degrees - 1];
  if (exact !== undefined) return exact;
  const z = normal;
  const [z3, z5, z7] = [z ** 3, z ** 5, z ** 7];
  return (
    z +
    (z3 + z) / (4 * degrees) +
    (5 * z5 + 16 * z3 + 3 * z) / (96 * degrees ** 2) +
    (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * degrees ** 3)
  );
}

/** Student's t interval of the mean. */
export function intervalOf(values: readonly number[]): Interval {
  const n = values.length;
  if (n === 0) return { mean: null, low: null, high: null, n };
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  if (n === 1) return { mean, low: null, high: null, n };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const half = studentsT(n - 1) * Math.sqrt(variance / n);
  return { mean, low: mean - half, high: mean + half, n };
}

const within = (value: number | null) => (value === null ? null : Math.min(1, Math.max(0, value)));

/** The same of values from 0 to 1, not beyond them; Wilson's score interval if all are 0 or 1. */
export function shareOf(values: readonly number[]): Interval {
  const { mean, low, high, n } = intervalOf(values);
  if (mean === null || values.some((value) => value !== 0 && value !== 1)) {
    return { mean, low: within(low), high: within(high), n };
  }
  const z2 = normal ** 2;
  const centre = (mean + z2 / (2 * n)) / (1 + z2 / n);
  const half = (normal / (1 + z2 / n)) * Math.sqrt((mean * (1 - mean)) / n + z2 / (4 * n * n));
  return { mean, low: within(centre - half), high: within(centre + half), n };
}

export const ratiosOf = (values: readonly number[]): RatioInterval => ({
  ...intervalOf(values),
  max: values.length === 0 ? null : Math.max(...values),
});
