// Checks the values of command-line options. Parsing itself is node:util's parseArgs.

/** A command line that its user must correct. The message names the option. */
export class UsageError extends Error {}

/** @throws UsageError if the option is missing or empty */
export function required(name: string, value: string | undefined): string {
  if (value === undefined || value === "") throw new UsageError(`--${name} is needed; see --help`);
  return value;
}

/** @throws UsageError unless `value` is an integer from `min` to `max` */
export function integer(name: string, value: string, min: number, max = 1_000_000_000): number {
  const number = Number(value);
  if (value.trim() !== "" && Number.isInteger(number) && number >= min && number <= max) {
    return number;
  }
  throw new UsageError(`--${name} takes a whole number from ${min} to ${max}, not "${value}"`);
}

/**
 * The integers of a list with commas, as in "1,2,4".
 * @throws UsageError unless each is an integer from `min` to `max`
 */
export function integers(name: string, value: string, min: number, max?: number): number[] {
  return value.split(",").map((text) => integer(name, text, min, max));
}

/** @throws UsageError unless `value` is a number from `min` to `max` */
export function decimal(name: string, value: string, min: number, max: number): number {
  const number = Number(value);
  if (value.trim() !== "" && number >= min && number <= max) return number;
  throw new UsageError(`--${name} takes a number from ${min} to ${max}, not "${value}"`);
}

/** @throws UsageError unless `value` is one of `allowed` */
export function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found !== undefined) return found;
  throw new UsageError(`--${name} takes one of ${allowed.join(", ")}, not "${value}"`);
}
