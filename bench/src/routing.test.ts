import { expect, it } from "vitest";
import { type Policy, simulate } from "./routing/simulation.ts";

const pool = { workers: 40, gateways: 3, requestsPerMinute: 4_000, seconds: 20, slow: 0.25 };
const figures = (policy: Policy) => simulate(policy, pool);

it("gives every policy the same requests, and the same figures each time", async () => {
  const [random, again, robin] = [
    await figures("random"),
    await figures("random"),
    await figures("round-robin"),
  ];
  expect(random.requests).toBeGreaterThan(1_000);
  expect(robin.requests).toBe(random.requests);
  expect({ ...again, decision_us: null }).toEqual({ ...random, decision_us: null });
});

it("finds what a worker computed before, and no worker waits for it", async () => {
  const [ours, noPrefix, random] = [
    await figures("ours"),
    await figures("no-prefix"),
    await figures("random"),
  ];
  expect(ours.prefix_hits).toBeGreaterThan(4 * random.prefix_hits);
  for (const other of [noPrefix, random]) {
    expect(ours.first_token_ms.p50).toBeLessThan(other.first_token_ms.p50 / 2);
    expect(ours.first_token_ms.p99).toBeLessThan(other.first_token_ms.p99 / 2);
    expect(ours.answer_ms.p50).toBeLessThan(other.answer_ms.p50);
  }
  expect(ours.refused).toBe(0);
});
