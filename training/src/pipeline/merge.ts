// More items than branches: neighbours go together, so that the branches are about equally long.

/**
 * Cuts `sizes` into at most `most` runs of neighbours whose largest sum is as small as it can be.
 * Returns where each run starts. Each run has at least one member.
 */
export function balancedRuns(sizes: readonly number[], most: number): number[] {
  let low = Math.max(...sizes);
  let high = sizes.reduce((sum, size) => sum + size, 0);
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (runsWithin(sizes, middle).length <= most) high = middle;
    else low = middle + 1;
  }
  return runsWithin(sizes, low);
}

/** Fills one run after another up to `cap`, which no single size exceeds. */
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
