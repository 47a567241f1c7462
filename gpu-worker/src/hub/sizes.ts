// Sizes as people read them.
const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** In decimal units, as the hub shows them: "1.24 GB". */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1_000 && unit < UNITS.length - 1) {
    value /= 1_000;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${UNITS[unit]}`;
}
