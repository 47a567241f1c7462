import { expect, it } from "vitest";
import { idle, type PoolWorker, type WorkerLoad } from "../pool/pool.ts";
import { beginningOf, type Coming, Router } from "./router.ts";

const model = {
  ...{ id: "m", digest: "d", backend: "b", dialect: "" },
  ...{ contextTokens: 1_000, defaultMaxTokens: 100 },
};

function worker(id: string, running = 0, seenAt = 0): PoolWorker {
  return {
    ...{ id, url: "", credential: "", models: [model], draining: false, healthy: true },
    ...{ load: { ...idle, runningRequests: running }, registeredAt: 0, seenAt },
  };
}

const poolOf = (count: number) => ({
  workers: Array.from({ length: count }, (_, index) => worker(`w${index}`)),
});
const ids = (workers: PoolWorker[]) => workers.map(({ id }) => id);
const coming = (beginning: number, promptTokens = 100, earlierTokens = 0): Coming => {
  return { beginning, promptTokens, earlierTokens, requests: 1 };
};
const conversation = (index: number, promptTokens?: number, earlierTokens?: number) =>
  coming(beginningOf("t", `conversation ${index}`), promptTokens, earlierTokens);

it("tries the least loaded first, and of equal ones the one that was taken longest ago", () => {
  const router = new Router(() => 1_000);
  const view = { workers: [worker("a", 3), worker("b"), worker("c", 1), worker("d")] };
  expect(ids(router.candidates(view, "m"))).toEqual(["b", "d", "c", "a"]);
  const ended = router.begin("b");
  expect(ids(router.candidates(view, "m"))).toEqual(["d", "c", "b", "a"]);
  ended();
  expect(ids(router.candidates(view, "m"))).toEqual(["d", "b", "c", "a"]);
  expect(router.candidates(view, "another")).toEqual([]);
});

it("tries a worker that has just fallen silent if there is no other", () => {
  const silent = { ...worker("a", 0, 5_000), healthy: false };
  const view = { workers: [silent, { ...worker("b", 9, 9_000), healthy: false }] };
  expect(ids(new Router(() => 10_000).candidates(view, "m"))).toEqual(["a", "b"]);
  expect(ids(new Router(() => 16_000).candidates(view, "m"))).toEqual(["b"]);
  const others = { workers: [silent, worker("c", 50, 9_000)] };
  expect(ids(new Router(() => 10_000).candidates(others, "m"))).toEqual(["c"]);
  const drained = { workers: [{ ...silent, draining: true }] };
  expect(new Router(() => 10_000).candidates(drained, "m")).toEqual([]);
});

it("trusts a worker whose answers come, however late the pool hears of it", () => {
  let now = 50_000;
  const router = new Router(() => now);
  const silent = { ...worker("a", 0, 1_000), healthy: false };
  const view = { workers: [silent, worker("b", 5, now)] };
  router.heard("a");
  expect(ids(router.candidates(view, "m"))).toEqual(["a", "b"]);
  now += 1_999;
  expect(ids(router.candidates({ workers: [silent] }, "m"))).toEqual(["a"]);
  now += 1;
  expect(ids(router.candidates(view, "m"))).toEqual(["b"]);
  expect(router.candidates({ workers: [silent] }, "m")).toEqual([]);
});

it("compares some of a large pool, others each time, and has all", () => {
  const loads = Array.from({ length: 90 }, (_, index) => (index * 7_919) % 90);
  const view = { workers: loads.map((load) => worker(`w${load}`, load)) };
  const router = new Router();
  const firsts = Array.from({ length: 30 }, () => {
    const order = ids(router.candidates(view, "m"));
    expect(new Set(order).size).toBe(90);
    const compared = order.slice(0, 3).map((id) => Number(id.slice(1)));
    expect(compared).toEqual([...compared].sort((x, y) => x - y));
    return order[0];
  });
  // Each is compared once in so many choices.
  expect(new Set(firsts).size).toBe(30);
});

it("sends a prompt to the worker that is expected to compute it first", () => {
  const costs = { stepMs: 20, laneMs: 0.5, prefillMs: 0.1, contextMs: 0 };
  const fast = worker("fast", 6, 900);
  fast.load = { ...fast.load, stepCosts: costs };
  const slow = worker("slow", 0, 900);
  slow.load = { ...slow.load, stepCosts: { ...costs, stepMs: 80, prefillMs: 0.4 } };
  const view = { workers: [slow, fast] };
  let now = 1_000;
  const router = new Router(() => now);
  const long: Coming = { beginning: null, promptTokens: 1_000, earlierTokens: 0, requests: 1 };
  expect(ids(router.candidates(view, "m", long))).toEqual(["fast", "slow"]);
  // What was sent to it since its report is before the next prompt, until it is computed.
  for (let i = 0; i < 4; i++) router.begin("fast", long);
  expect(ids(router.candidates(view, "m", long))).toEqual(["slow", "fast"]);
  now += 2_000;
  expect(ids(router.candidates(view, "m", long))).toEqual(["fast", "slow"]);
});

it("gives a worker that has measured nothing a chance beside quick ones", () => {
  const quick = worker("quick", 1);
  const stepCosts = { stepMs: 1, laneMs: 0.1, prefillMs: 0.1, contextMs: 0 };
  const view = { workers: [{ ...quick, load: { ...quick.load, stepCosts } }, worker("new")] };
  expect(ids(new Router().candidates(view, "m"))).toEqual(["new", "quick"]);
});

it("sends equal beginnings to one worker, for all routers, and spreads others evenly", () => {
  const view = poolOf(10);
  const first = (index: number, pool = view) =>
    new Router().candidates(pool, "m", conversation(index))[0]?.id;
  const homes = Array.from({ length: 2_000 }, (_, index) => first(index));
  expect(first(7)).toBe(homes[7]);
  for (const { id } of view.workers) {
    const share = homes.filter((home) => home === id).length;
    expect(share).toBeGreaterThan(140);
    expect(share).toBeLessThan(260);
  }
  // When a worker leaves, the conversations of the others stay where they are.
  const smaller = { workers: view.workers.filter(({ id }) => id !== "w3") };
  for (const [index, home] of homes.entries()) {
    if (home !== "w3") expect(first(index, smaller)).toBe(home);
  }
});

it("leaves a prompt's worker when its prompts wait longer than the prompt takes elsewhere", () => {
  const view = poolOf(4);
  const long = conversation(1, 10_000, 9_000);
  const home = new Router().candidates(view, "m", long)[0]?.id ?? "";
  const firstWith = (load: Partial<WorkerLoad>, of: Coming) => {
    const workers = view.workers.map((each) =>
      each.id === home ? { ...each, seenAt: 1_000, load: { ...idle, ...load } } : each,
    );
    return new Router(() => 1_000).candidates({ workers }, "m", of)[0]?.id;
  };
  expect(firstWith({ runningRequests: 20 }, long)).toBe(home);
  expect(firstWith({ prefillTokens: 6_000 }, long)).toBe(home);
  expect(firstWith({ prefillTokens: 10_000 }, long)).not.toBe(home);
  // A short prompt is computed anywhere as fast.
  expect(firstWith({ prefillTokens: 100 }, conversation(1, 50))).not.toBe(home);
});

it("keeps tenants' beginnings apart", () => {
  const view = poolOf(50);
  const home = (tenant: string) =>
    new Router().candidates(view, "m", coming(beginningOf(tenant, "Hello")))[0]?.id;
  const homes = new Set(Array.from({ length: 20 }, (_, index) => home(`tenant-${index}`)));
  expect(homes.size).toBeGreaterThan(10);
});
