// npm run bench -- quality, as a caller sees it, and its arithmetic.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { QualityFigures } from "./quality.ts";
import { type Answer, type Answered, figures } from "./quality-figures.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const root = fileURLToPath(new URL("../..", import.meta.url));
const bench = (...args: string[]) =>
  spawnSync(process.execPath, [main, "quality", ...args], { encoding: "utf8", cwd: root });

it("prints one JSON value whose parts agree with each other", { timeout: 240_000 }, () => {
  const { status, stdout, stderr } = bench("--tasks", "6", "--timed", "2", "--runs", "1", "--json");
  expect(status, stderr).toBe(0);
  const got = JSON.parse(stdout) as QualityFigures;
  const families = Object.values(got.families);
  expect(families.map(({ tasks }) => tasks)).toEqual([6, 6, 6, 6]);
  const correct = families.reduce((sum, f) => sum + (f.parallel.accuracy ?? 0) * f.tasks, 0);
  expect(got.parallel.accuracy).toBeCloseTo(correct / 24);
  // The demo model branches by itself on parallel tasks, and takes fewer steps when it does.
  expect(got.trigger.recall).toBeGreaterThan(0.5);
  expect(got.trigger.precision).toBeGreaterThan(0.5);
  expect(got.speedup.steps.mean).toBeGreaterThan(1);
  expect(got.speedup.tasks).toBeGreaterThan(0);
  expect(got.speedup.wall.max).toBeGreaterThanOrEqual(got.speedup.wall.mean ?? 0);
});

it("names the option that it refuses", () => {
  for (const [name, value] of [
    ["--tasks", "0"],
    ["--split", "test"],
  ] as const) {
    const { status, stdout, stderr } = bench(name, value);
    expect(status).toBe(2);
    expect(stderr).toContain(name);
    expect(stdout).toBe("");
  }
});

describe("the figures", () => {
  const answer = (correct: boolean, steps: number, branches: number, wall: number[]): Answer => ({
    correct,
    steps,
    branches,
    visibleTokens: 100,
    wall,
  });
  const row = (parallel: boolean, serial: Answer, ours: Answer): Answered => ({
    task: { family: parallel ? "general" : "serial", kind: "k", parallel },
    serial,
    parallel: ours,
  });
  const got = figures([
    row(true, answer(true, 100, 0, [40, 10, 20]), answer(true, 50, 3, [5, 9, 10])),
    row(true, answer(true, 100, 0, [30]), answer(true, 25, 4, [10])),
    row(true, answer(true, 100, 0, [99]), answer(false, 1, 2, [1])),
    row(true, answer(false, 100, 0, []), answer(true, 100, 0, [])),
    row(false, answer(true, 10, 0, []), answer(true, 10, 2, [])),
    row(false, answer(true, 10, 0, []), answer(true, 10, 0, [])),
  ]);

  it("compares times and steps where both are correct, by medians of the runs", () => {
    expect(got.speedup.wall).toEqual({ mean: (20 / 9 + 3) / 2, max: 3 });
    expect(got.speedup.steps).toEqual({ mean: 3, max: 4 });
    expect(got.speedup.tasks).toBe(2);
  });

  it("reports where the model branched", () => {
    expect(got.trigger).toEqual({ precision: 3 / 4, recall: 3 / 4 });
  });

  it("pairs the answers for the interval", () => {
    expect(got.difference.points).toBe(0);
    const half = 100 * 1.96 * Math.sqrt(2 / 6 / 6);
    expect(got.difference.high).toBeCloseTo(half);
    expect(got.difference.low).toBeCloseTo(-half);
    expect(got.families.general?.difference.points).toBe(0);
    expect(got.families.retrieval).toBeUndefined();
  });
});
