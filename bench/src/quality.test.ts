// npm run bench -- quality, as a caller sees it.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import type { QualityFigures } from "./quality.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const root = fileURLToPath(new URL("../..", import.meta.url));
const bench = (...args: string[]) =>
  spawnSync(process.execPath, [main, "quality", ...args], { encoding: "utf8", cwd: root });

it("answers one JSON value whose parts agree with each other", () => {
  const { status, stdout, stderr } = bench("--tasks", "24", "--json");
  expect(status, stderr).toBe(0);
  const figures = JSON.parse(stdout) as QualityFigures;
  const families = Object.values(figures.families);
  expect(families.reduce((sum, { tasks }) => sum + tasks, 0)).toBe(24);
  const right = families.reduce((sum, f) => sum + f.parallel_accuracy * f.tasks, 0);
  expect(figures.parallel.accuracy).toBeCloseTo(right / 24);
  // The demo model opens branches by itself on parallel tasks, and takes fewer steps where it does.
  expect(figures.trigger.recall).toBeGreaterThan(0.5);
  expect(figures.trigger.precision).toBeGreaterThan(0.5);
  expect(figures.speedup.steps.mean).toBeGreaterThan(1);
  expect(figures.speedup.steps.max).toBeGreaterThanOrEqual(figures.speedup.steps.mean);
});

it("refuses odd options by name", () => {
  const { status, stdout, stderr } = bench("--tasks", "0");
  expect(status).toBe(1);
  expect(stderr).toContain("--tasks");
  expect(stdout).toBe("");
});
