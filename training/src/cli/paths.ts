// Paths on the command line are relative to the repository root, wherever the command runs.
import { existsSync, realpathSync } from "node:fs";
import { resolve } from "node:path";
import { UsageError } from "@anabranch/shared/cli/options.ts";

const root = resolve(import.meta.dirname, "../../..");

export const fromRoot = (path: string): string => resolve(root, path);

/**
 * Throws UsageError if two options name one file, which would be written over, or written twice. Of `written` and `read`
 * the keys are the options' names. Devices may be shared.
 */
export function checkApart(
  written: Record<string, string>,
  read: Record<string, readonly string[]>,
): void {
  const named = new Map<string, string>();
  for (const [option, paths] of Object.entries(read)) {
    for (const path of paths) named.set(placeOf(path), option);
  }
  for (const [option, path] of Object.entries(written)) {
    const place = placeOf(path);
    const other = named.get(place);
    if (other !== undefined && !place.startsWith("/dev/")) {
      throw new UsageError(`--${option} is the file of --${other}, ${path}: name another one`);
    }
    named.set(place, option);
  }
}

function placeOf(path: string): string {
  const place = fromRoot(path);
  return existsSync(place) ? realpathSync(place) : place;
}
