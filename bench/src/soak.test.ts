// A small soak: its figures, and that the engine passes.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import type { SoakFigures } from "./soak.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const root = fileURLToPath(new URL("../..", import.meta.url));
const bench = (...args: string[]) =>
  spawnSync(process.execPath, [main, "soak", ...args], { encoding: "utf8", cwd: root });

it("preempts and aborts requests, frees all KV, and changes no answer", {
  timeout: 300_000,
}, () => {
  const { status, stdout, stderr } = bench("--requests", "200", "--json");
  expect(status, stderr).toBe(0);
  const figures = JSON.parse(stdout) as SoakFigures;
  const sum = (counts: Record<string, number>) =>
    Object.values(counts).reduce((total, count) => total + count, 0);
  expect(sum(figures.kinds)).toBe(200);
  expect(sum(figures.ended)).toBe(200);
  expect(figures.different).toBe(0);
  expect(figures.compared).toBe((figures.ended.stop ?? 0) + (figures.ended.length ?? 0));
  expect(figures.kv.free).toBe(figures.kv.total);
  expect(figures.preemptions).toBeGreaterThan(0);
  expect(figures.cached_tokens).toBeGreaterThan(0);
  expect(sum(figures.aborted)).toBeGreaterThan(0);
});

it("names the option that it refuses", () => {
  const { status, stdout, stderr } = bench("--abort", "101");
  expect(status).toBe(2);
  expect(stderr).toContain("--abort");
  expect(stdout).toBe("");
});
