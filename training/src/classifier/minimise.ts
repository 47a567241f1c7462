// Least values of smooth functions, by L-BFGS: Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 7.5.

/** The value at `at`; writes its slope there into `slope`. */
export type Smooth = (at: Float64Array, slope: Float64Array) => number;

export interface Limits {
  /** Steps at most. */
  steps: number;
  /** Enough is a slope of this length. */
  slope: number;
}

/** Differences of the last steps that the curvature is estimated from. */
const remembered = 10;

interface Difference {
  step: Float64Array;
  slope: Float64Array;
  /** Their inner product, above 0. */
  inner: number;
}

function inner(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

function add(to: Float64Array, factor: number, values: Float64Array): void {
  for (let i = 0; i < to.length; i++) to[i] = (to[i] ?? 0) + factor * (values[i] ?? 0);
}

/** Downhill: the estimated inverse curvature times the slope, turned round. */
function directionOf(slope: Float64Array, differences: readonly Difference[]): Float64Array {
  const direction = slope.map((value) => -value);
  const factors: number[] = [];
  for (const each of differences.toReversed()) {
    const factor = inner(each.step, direction) / each.inner;
    add(direction, -factor, each.slope);
    factors.unshift(factor);
  }
  const last = differences.at(-1);
  const scale = last
    ? last.inner / inner(last.slope, last.slope)
    : 1 / Math.sqrt(inner(slope, slope));
  for (let i = 0; i < direction.length; i++) direction[i] = scale * (direction[i] ?? 0);
  for (const [i, each] of differences.entries()) {
    add(direction, (factors[i] ?? 0) - inner(each.slope, direction) / each.inner, each.step);
  }
  return direction;
}

/** Where `f` is least, from `start` on. The same `f` gives the same, to the bit. */
export function minimise(f: Smooth, start: Float64Array, limits: Limits): Float64Array {
  let at = start;
  let slope = new Float64Array(at.length);
  let value = f(at, slope);
  const differences: Difference[] = [];
  for (let step = 0; step < limits.steps && inner(slope, slope) > limits.slope ** 2; step++) {
    const direction = directionOf(slope, differences);
    const descent = inner(slope, direction);
    const next = new Float64Array(at.length);
    const nextSlope = new Float64Array(at.length);
    let nextValue = value;
    let part = 1;
    for (; part > 1e-9; part /= 2) {
      next.set(at);
      add(next, part, direction);
      nextValue = f(next, nextSlope);
      if (nextValue <= value + 1e-4 * part * descent) break;
    }
    if (part <= 1e-9) break;
    const moved = next.map((each, i) => each - (at[i] ?? 0));
    const turned = nextSlope.map((each, i) => each - (slope[i] ?? 0));
    const product = inner(moved, turned);
    if (product > 0) differences.push({ step: moved, slope: turned, inner: product });
    if (differences.length > remembered) differences.shift();
    [at, slope, value] = [next, nextSlope, nextValue];
  }
  return at;
}
