// Merges neighbouring items if there are more than branches, so that branches are of similar length.

/**
 * Partitions `sizes` into at most `maxRuns` runs of neighbours so that the largest sum of a run is
 * minimal. Returns where each run starts. Each run has at least one member.
 */
export function balancedRuns(sizes: readonly number[], maxRuns: number): number[] {
  let low = Math.max(...sizes);
  let high = sizes.reduce((sum, size) => sum + size, 0);
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (runsWithin(sizes, middle).length <= maxRuns) high = middle;
    else low = middle + 1;
  }
  return runsWithin(sizes, low);
}

/** Fills one run after another up to a sum of `cap`, which no single size exceeds. */
function runsWithin(sizes: readonly number[], cap: number): number[] {
  const starts: number[] = [];
  let sum = Number.POSITIVE_INFINITY;
  sizes.forEach((size, i) => {
    if (sum + size > cap) {
      starts.push(i);
      sum = 0;
    }
    sum += size;
  });
  return starts;
}
