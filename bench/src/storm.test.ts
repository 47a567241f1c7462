import { partsOf } from "@anabranch/gateway/local/storm/weights.ts";
import { expect, it } from "vitest";
import { faultsOf } from "./storm.ts";

const none = {
  equal: null,
  deaths: null,
  limits: null,
  aborts: null,
  hostile: null,
  weights: null,
  saturation: null,
};
const deaths = {
  ...{ requests: 8, kills: { leader: 1, engine: 1, worker: 1, gateway: 1 }, retries: 3 },
  ...{ lost: 0, different: 0, counted_twice: 0, uncounted: 0, seconds: 1 },
};
const saturation = {
  ...{ seconds: 1, clients: 1, statuses: { 200: 1, 429: 1, 503: 1 }, untold: 0, quiet_failed: 0 },
  retries: { asked: 2, let_in: 2 },
  ...{ first_text_ms: { alone: 1, beside: 1 }, memory_mib: { early: 1, late: 1 } },
};

it("a storm that the gateway held has no faults, and each fault is said", () => {
  expect(faultsOf({ ...none, deaths, saturation })).toEqual([]);
  expect(faultsOf({ ...none, deaths: { ...deaths, lost: 1 } })).toHaveLength(1);
  expect(faultsOf({ ...none, deaths: { ...deaths, counted_twice: 1 } })).toHaveLength(1);
  const wrong = { ...saturation, statuses: { 500: 1 }, retries: { asked: 2, let_in: 1 } };
  expect(faultsOf({ ...none, saturation: wrong })).toEqual([
    "saturation was answered with 500",
    "a Retry-After was not true",
  ]);
  const fair = [
    { weight: 1, answers: 104 },
    { weight: 3, answers: 296 },
  ];
  const weights = (tenants: typeof fair) => ({
    ...none,
    weights: { seconds: 1, tenants: partsOf(tenants) },
  });
  expect(faultsOf(weights(fair))).toEqual([]);
  const unfair = fair.map(({ weight }) => ({ weight, answers: 100 }));
  expect(faultsOf(weights(unfair))).toEqual([
    "weight 1 has 2.00 times its fair part",
    "weight 3 has 0.67 times its fair part",
  ]);
});
