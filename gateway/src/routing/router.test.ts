import { expect, it } from "vitest";
import { idle, type PoolWorker } from "../pool/pool.ts";
import { beginningOf, Router } from "./router.ts";

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
const conversation = (index: number, bytes = 100) =>
  beginningOf("t", `conversation ${index}`, bytes);

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

it("has all workers of a large pool, the best in order", () => {
  const loads = Array.from({ length: 200 }, (_, index) => (index * 7_919) % 200);
  const view = { workers: loads.map((load) => worker(`w${load}`, load)) };
  const order = ids(new Router().candidates(view, "m"));
  expect(order.slice(0, 16)).toEqual(Array.from({ length: 16 }, (_, load) => `w${load}`));
  expect(new Set(order).size).toBe(200);
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

it("leaves a prompt's worker when it is busier than the prompt is worth", () => {
  const view = poolOf(4);
  const long = conversation(1, 10_000);
  const home = new Router().candidates(view, "m", long)[0]?.id ?? "";
  const busy = (running: number) => ({
    workers: view.workers.map((each) => (each.id === home ? worker(home, running) : each)),
  });
  expect(new Router().candidates(busy(4), "m", long)[0]?.id).toBe(home);
  expect(new Router().candidates(busy(6), "m", long)[0]?.id).not.toBe(home);
  // A short prompt is computed anywhere as fast.
  expect(new Router().candidates(busy(1), "m", conversation(1, 50))[0]?.id).not.toBe(home);
});

it("keeps tenants' beginnings apart", () => {
  const view = poolOf(50);
  const home = (tenant: string) =>
    new Router().candidates(view, "m", beginningOf(tenant, "Hello", 100))[0]?.id;
  const homes = new Set(Array.from({ length: 20 }, (_, index) => home(`tenant-${index}`)));
  expect(homes.size).toBeGreaterThan(10);
});
