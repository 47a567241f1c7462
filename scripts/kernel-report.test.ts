// The launch sizes in kernel-report are of the kernels that exist.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const cuda = join(import.meta.dirname, "../native/engine/backends/cuda");

it("knows the launch size of every kernel, and of no other", () => {
  const sources = readdirSync(cuda).filter((name) => name.endsWith(".cu"));
  const kernels = sources.flatMap((name) => [
    ...readFileSync(join(cuda, name), "utf8").matchAll(/__global__[^;{]*?\b(\w+_kernel)\(/g),
  ]);
  expect(kernels.length).toBeGreaterThan(5);
  const report = readFileSync(join(import.meta.dirname, "kernel-report.mjs"), "utf8");
  const known = [...report.matchAll(/^ {2}(\w+_kernel)[:(]/gm)];
  const names = (found: RegExpMatchArray[]) => found.map(([, name]) => name).sort();
  expect(names(known)).toEqual(names(kernels));
});
