import { expect, it } from "vitest";
import { idle, type PoolWorker } from "../pool/pool.ts";
import { takeTurn } from "./turns.ts";

const worker = (id: string): PoolWorker => ({
  ...{ id, url: "", credential: "", models: [], draining: false, healthy: true },
  ...{ load: idle, registeredAt: 0, seenAt: 0 },
});

/** The names of those whose turn has come, in order. */
function asking() {
  const come: string[] = [];
  const ends = new Map<string, () => void>();
  const ask = async (
    name: string,
    tenant: string,
    at: string,
    signal = new AbortController().signal,
  ) => {
    ends.set(name, await takeTurn(tenant, worker(at), signal));
    come.push(name);
  };
  return { come, ends, ask };
}

it("lets some of a tenant's requests go to a worker at once, the others in their order, and other tenants' beside them", async () => {
  const { come, ends, ask } = asking();
  const many = Array.from({ length: 40 }, (_, index) => ask(`many ${index}`, "many", "w"));
  await ask("another tenant", "other", "w");
  await ask("another worker", "many", "v");
  const atOnce = come.length - 2;
  expect(atOnce).toBeGreaterThan(8);
  expect(atOnce).toBeLessThan(40);
  const left = new AbortController();
  const leaves = ask("leaves", "many", "w", left.signal);
  left.abort();
  await expect(leaves).rejects.toMatchObject({ status: 499 });
  for (let ended = 0; ended < 40; ended++) {
    const name = `many ${ended}`;
    await expect.poll(() => ends.has(name)).toBe(true);
    expect(come.length - 2).toBeLessThanOrEqual(atOnce + ended);
    const end = ends.get(name);
    end?.();
    // A turn ends once.
    end?.();
  }
  await Promise.all(many);
  expect(come.filter((name) => name.startsWith("many"))).toEqual(
    Array.from({ length: 40 }, (_, index) => `many ${index}`),
  );
});

it("does not hold back requests to an upstream, which need not say anything before its first text", async () => {
  const upstream = { ...worker("u"), upstream: { maxRequests: null } } as unknown as PoolWorker;
  const { signal } = new AbortController();
  const all = Array.from({ length: 100 }, () => takeTurn("many", upstream, signal));
  expect(await Promise.all(all)).toHaveLength(100);
});
