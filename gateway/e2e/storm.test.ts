// The storms of `npm run bench -- storm`, at sizes of a test.
import { expect, it } from "vitest";
import { amongDeaths } from "../local/storm/deaths.ts";
import { equalRequests } from "../local/storm/equal.ts";
import { hostileStorm } from "../local/storm/hostile.ts";
import { afterAborts, underLimits } from "../local/storm/limits.ts";

it("equal requests at the same time are decoded once, whichever isolate they reach", async () => {
  const requests = 120;
  expect(await equalRequests(requests, 3)).toMatchObject({
    ...{ generations: 1, whole: requests, texts: 1, counted: requests, hits: requests - 1 },
  });
}, 120_000);

it("limits hold under many requests at the same time, whichever isolate they reach", async () => {
  const limits = [{ rpm: 20 }, { tpm: 2_000 }, { tokens_per_month: 2_000 }, { max_concurrent: 4 }];
  const figures = await underLimits(60, 3, limits);
  expect(figures.map(({ limit }) => limit)).toEqual(limits.flatMap(Object.keys));
  for (const { limit, used, overshoot, failed, answered, refused } of figures) {
    expect({ limit, overshoot, failed }).toEqual({ limit, overshoot: 0, failed: 0 });
    expect(Math.min(answered, used), limit).toBeGreaterThan(0);
    expect(refused, limit).toBeGreaterThan(0);
  }
}, 120_000);

it("what clients that left have used is counted exactly, and nothing stays reserved", async () => {
  const requests = 40;
  const { usage_tokens, ...figures } = await afterAborts(requests, 3);
  expect(figures).toMatchObject({ month_tokens: usage_tokens, at_once_after: requests });
  expect(figures.usage_requests).toBeGreaterThanOrEqual(figures.begun);
  expect(figures.usage_requests).toBeLessThanOrEqual(requests);
  expect(figures.aborted).toBeGreaterThan(0);
}, 120_000);

it("no answer is lost, changed or counted twice when leaders, engines, workers and gateways die", async () => {
  expect(await amongDeaths(48, 4)).toMatchObject({
    ...{ lost: 0, different: 0, counted_twice: 0, uncounted: 0 },
    kills: { leader: 1, engine: 1, worker: 1, gateway: 1 },
  });
}, 180_000);

it("hostile bodies, unknown keys and half-open connections harm no good stream and no process", async () => {
  const sizes = {
    bodies: 20,
    keys: 200,
    connections: 20,
    streams: 4,
    tokens: 60,
    settle_seconds: 0,
  };
  const { statuses, ...figures } = await hostileStorm(sizes);
  expect(figures).toMatchObject({ wrong_keys: 0, failed: 0, restarted: 0 });
  expect(statuses).toEqual({ 400: 18, 413: 2 });
}, 120_000);
