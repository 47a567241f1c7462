import { expect, it } from "vitest";
import { idle, type PoolWorker, type WorkerLoad } from "../pool/pool.ts";
import { expectedTime, type Needs, type Since } from "./expected-time.ts";

const stepCosts = { stepMs: 20, laneMs: 1, prefillMs: 0.6, contextMs: 2 };
const just: Since = { ms: 0, requests: 0, prompts: [] };

const msOf = (
  load: Partial<WorkerLoad>,
  {
    needs,
    since,
    cached = 0,
  }: { needs?: Partial<Needs>; since?: Partial<Since>; cached?: number } = {},
) =>
  expectedTime(
    { load: { ...idle, stepCosts, ...load } },
    { ...just, ...since },
    { promptTokens: 0, requests: 1, ...needs },
    cached,
  );

it("is five steps of its lanes, and what their context takes", () => {
  expect(msOf({})).toBe(5 * 21);
  expect(msOf({ liveLanes: 8, contextTokens: 5_000 })).toBe(5 * (20 + 9 + 10));
  expect(msOf({ liveLanes: 8 }, { since: { requests: -8 }, needs: { requests: 4 } })).toBe(5 * 24);
});

it("has what of the prompt is not cached, slower beside decoding", () => {
  const needs = { promptTokens: 1_000 };
  expect(msOf({}, { needs, cached: 500 })).toBeCloseTo(300 + 5 * 23);
  expect(msOf({ liveLanes: 1 }, { needs, cached: 500 })).toBeCloseTo(500 + 5 * 24);
});

it("has the prompts before it, less what was computed since they were known", () => {
  const prompts = [{ tokens: 1_000, ms: 500 }];
  expect(msOf({ prefillTokens: 1_000 })).toBeCloseTo(600 + 5 * 21);
  expect(msOf({ prefillTokens: 1_000 }, { since: { ms: 500 } })).toBeCloseTo(100 + 5 * 21);
  expect(msOf({ prefillTokens: 1_000 }, { since: { ms: 5_000 } })).toBeCloseTo(5 * 21);
  // Sent when nothing was left to do, and when a part of it was.
  expect(msOf({ prefillTokens: 1_000 }, { since: { ms: 5_000, prompts } })).toBeCloseTo(
    100 + 5 * 21,
  );
  expect(msOf({ prefillTokens: 1_000 }, { since: { ms: 1_000, prompts } })).toBeCloseTo(
    200 + 5 * 21,
  );
});

it("waits for the ends of others where as many run as can", () => {
  const full = { runningRequests: 4, maxRunning: 4 };
  expect(msOf({ ...full, runningRequests: 3 })).toBe(5 * 24);
  expect(msOf({ ...full, queuedRequests: 1, msBetweenEnds: 300 })).toBe(2 * 300 + 5 * 25);
  expect(msOf({ ...full, msBetweenEnds: 300 }, { needs: { requests: 3 } })).toBe(3 * 300 + 5 * 27);
  expect(msOf({ ...full, msBetweenEnds: 300 }, { since: { requests: -1 } })).toBe(5 * 24);
  expect(msOf(full)).toBeGreaterThan(500);
});

it("grows as KV fills", () => {
  const filled = (kvBlocksFree: number) => msOf({ kvBlocksFree, kvBlocksTotal: 100 });
  expect(filled(100)).toBe(5 * 21);
  expect(filled(50)).toBeGreaterThan(5 * 21);
  expect(filled(0)).toBeGreaterThan(5 * filled(50));
});

it("counts of an upstream what was sent to it", () => {
  const upstream = { names: {}, lanes: false, maxRequests: 2 } satisfies PoolWorker["upstream"];
  const ms = (requests: number) =>
    expectedTime(
      { load: idle, upstream },
      { ...just, requests },
      { promptTokens: 0, requests: 1 },
      0,
    );
  expect(ms(1)).toBeGreaterThan(ms(0));
  expect(ms(2)).toBeGreaterThan(10 * ms(1));
});
