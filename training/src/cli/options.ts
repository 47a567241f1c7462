// Reading of command lines that all verbs of `npm run data` share.
import { resolve } from "node:path";

/** A command line that can't be run; the message is for the user. */
export class UsageError extends Error {}

/** Paths are relative to the repository root. */
export const root = resolve(import.meta.dirname, "../../..");
export const fromRoot = (path: string): string => resolve(root, path);

export function needed(name: string, value: string | undefined): string {
  if (value === undefined || value === "") throw new UsageError(`--${name} is needed; see --help`);
  return value;
}

export function whole(name: string, value: string, low: number, high = 1_000_000_000): number {
  const number = Number(value);
  if (value.trim() !== "" && Number.isInteger(number) && number >= low && number <= high) {
    return number;
  }
  throw new UsageError(`--${name} takes a whole number from ${low} to ${high}, not "${value}"`);
}

export function real(name: string, value: string, low: number, high: number): number {
  const number = Number(value);
  if (value.trim() !== "" && number >= low && number <= high) return number;
  throw new UsageError(`--${name} takes a number from ${low} to ${high}, not "${value}"`);
}

export function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value);
  if (found !== undefined) return found;
  throw new UsageError(`--${name} takes ${allowed.join(" or ")}, not "${value}"`);
}
