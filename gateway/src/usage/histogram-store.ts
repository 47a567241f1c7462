// Histograms of times in ms: whole numbers up to 15, then 8 buckets from each power of two to the next. A time that is
// read from one is within 1/16 of the true one. They add up, so percentiles of any interval and grouping come from them.

const exactBits = 4;
/** Longer times have buckets of the same width as the longest of these: over 70 minutes. */
const mostBits = 22;

/** The width of the bucket of a time. */
const widthOf = (bits: number): number => 2 ** Math.max(0, bits - exactBits);

/** The shortest time of a time's bucket, in SQL; as the trigger `usage_roll_up` has it. */
export function bucketOf(ms: string): string {
  const widths = Array.from({ length: mostBits - exactBits }, (_, index) => {
    const bits = index + exactBits;
    return `WHEN ${ms} < ${2 ** bits} THEN ${widthOf(bits)}`;
  });
  return `${ms} - ${ms} % (CASE ${widths.join(" ")} ELSE ${widthOf(mostBits)} END)`;
}

/** The time that stands for a bucket: its middle. */
export function middleOf(bucket: number): number {
  const bits = Math.min(mostBits, Math.floor(Math.log2(Math.max(1, bucket))) + 1);
  return bucket + Math.floor(widthOf(bits) / 2);
}
