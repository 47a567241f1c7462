import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { type Claim, FairQueue, mostRunning } from "./fair-queue.ts";

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A queue in which one request runs and one more is with the engine, and who has started, in order. */
function scene(maxQueue = 100, maxRunning = 1) {
  const queue = new FairQueue(maxRunning, maxQueue);
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const ask = async (name: string, claim: Partial<Claim> = {}, signal?: AbortSignal) => {
    const [tenant = "", key = ""] = name.split("/");
    const whole = { tenant, key, weight: 1, priority: 0, size: 1, ...claim };
    ends.set(name, await queue.enter(whole, signal ?? new AbortController().signal));
    started.push(name);
  };
  const end = async (name: string) => {
    ends.get(name)?.();
    await settled();
  };
  /** Ends whoever runs until nobody does. */
  const drain = async () => {
    for (let at = 0; at < started.length; at++) await end(started[at] ?? "");
    return started;
  };
  return { queue, started, ask, end, drain };
}

interface Client {
  tenant: string;
  weight: number;
  /** Requests that it has at once, running or waiting. */
  waits: number;
  /** ms of each. */
  takes: (random: (below: number) => number) => number;
}

/** A queue on a clock of its own. */
function clockScene(maxRunning: number) {
  let now = 0;
  const queue = new FairQueue(maxRunning, 1_000, () => now);
  const random = randomNumbers(7);
  const time = new Map<string, number>();
  const running: { tenant: string; until: number; end: () => void }[] = [];
  const asked = new Map<string, number>();
  const ask = (client: Client) => {
    const { tenant, weight } = client;
    asked.set(tenant, (asked.get(tenant) ?? 0) + 1);
    const claim = { tenant, key: "k", weight, priority: 0, size: 1 };
    void queue.enter(claim, new AbortController().signal).then((end) => {
      const takes = client.takes(random);
      time.set(tenant, (time.get(tenant) ?? 0) + takes);
      running.push({ tenant, until: now + takes, end });
    });
  };
  /** A minute in which each client has its requests there. */
  const run = async (clients: Client[]) => {
    const until = now + 60_000;
    while (now < until) {
      for (const client of clients) {
        while ((asked.get(client.tenant) ?? 0) < client.waits) ask(client);
      }
      await settled();
      running.sort((a, b) => a.until - b.until);
      const next = running.shift();
      if (!next) throw new Error("nothing runs");
      now = next.until;
      asked.set(next.tenant, (asked.get(next.tenant) ?? 0) - 1);
      next.end();
    }
  };
  return { run, timeOf: (tenant: string) => time.get(tenant) ?? 0 };
}

function randomNumbers(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

describe("a full worker", () => {
  it("gives a tenant that comes late its turn before the rest of another's queue", async () => {
    const { ask, drain } = scene();
    for (let count = 0; count < 6; count++) void ask(`a/k/${count}`);
    void ask("b/k/0");
    await settled();
    expect(await drain()).toEqual([
      ...["a/k/0", "a/k/1", "b/k/0", "a/k/2", "a/k/3", "a/k/4", "a/k/5"],
    ]);
  });

  it("lets tenants take turns, however many requests each has", async () => {
    const { ask, drain } = scene();
    for (let count = 0; count < 8; count++) void ask(`a/k/${count}`);
    for (let count = 0; count < 3; count++) void ask(`b/k/${count}`);
    await settled();
    const order = (await drain()).slice(2, 8).map((name) => name[0]);
    expect(order.filter((tenant) => tenant === "b")).toHaveLength(3);
  });

  it("lets the keys of a tenant take turns", async () => {
    const { ask, drain } = scene();
    for (let count = 0; count < 6; count++) void ask(`a/busy/${count}`);
    void ask("a/quiet/0");
    await settled();
    expect((await drain()).indexOf("a/quiet/0")).toBe(2);
  });

  it("starts one in eight of the priority that waits longest", async () => {
    const { ask, drain } = scene();
    for (let count = 0; count < 2; count++) void ask(`a/running/${count}`);
    void ask("a/k/low", { priority: -5 });
    for (let count = 0; count < 30; count++) void ask(`b/k/${count}`, { priority: 3 });
    await settled();
    const place = (await drain()).indexOf("a/k/low");
    expect(place).toBe(8);
  });

  it("takes a higher priority first, whoever asks", async () => {
    const { ask, drain } = scene();
    for (let count = 0; count < 4; count++) void ask(`a/k/${count}`);
    void ask("b/k/0");
    void ask("a/k/urgent", { priority: 1 });
    await settled();
    expect((await drain()).slice(2, 4)).toEqual(["a/k/urgent", "b/k/0"]);
  });

  it("counts a request with declared branches as that many", async () => {
    const { ask, end, started } = scene();
    void ask("a/k/wide", { size: 8 });
    void ask("b/k/0");
    void ask("b/k/1");
    await settled();
    expect(started).toEqual(["a/k/wide"]);
    await end("a/k/wide");
    expect(started).toEqual(["a/k/wide", "b/k/0", "b/k/1"]);
  });

  it("leaves places for others when one tenant fills its queue", async () => {
    const { queue, ask } = scene(9); // one of them is with the engine
    for (let count = 0; count < 2; count++) void ask(`a/k/${count}`);
    const more = Array.from({ length: 10 }, (_, count) => ask(`a/k/more-${count}`));
    const outcomes = Promise.allSettled(more.slice(6));
    await settled();
    expect(queue.waiting).toBe(6);
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: "rejected", reason: expect.any(ConnectError) });
      const { code, metadata } = (outcome as PromiseRejectedResult).reason as ConnectError;
      expect(code).toBe(Code.ResourceExhausted);
      expect(Number(metadata.get("retry-after"))).toBeGreaterThanOrEqual(1);
    }
    void ask("b/k/0");
    await settled();
    expect(queue.waiting).toBe(7);
  });

  it("has room beside a tenant that fills it, for those of whom nothing runs", async () => {
    const { queue, ask, end, started } = scene(100, 16);
    for (let count = 0; count < 30; count++) void ask(`a/k/${count}`);
    await settled();
    expect(started).toHaveLength(16);
    for (const name of ["b/k/0", "b/k/1", "c/k/0", "d/k/0"]) void ask(name);
    await settled();
    expect(started.slice(16)).toEqual(["b/k/0", "c/k/0"]);
    expect(mostRunning(16)).toBe(18);
    // What they give back is theirs again, until no more than 16 run.
    await end("a/k/0");
    expect(started.slice(18)).toEqual(["d/k/0"]);
    await end("a/k/1");
    await end("a/k/2");
    expect(started.slice(19)).toEqual([]);
    await end("a/k/3");
    expect(started.slice(19)).toEqual(["b/k/1"]);
    await end("b/k/0");
    expect(started.slice(20)).toEqual(["a/k/16"]);
    expect(queue.waiting).toBe(13);
  });

  it("forgets who leaves while waiting", async () => {
    const { queue, ask, drain } = scene();
    for (let count = 0; count < 2; count++) void ask(`a/k/${count}`);
    const left = new AbortController();
    const leaver = ask("b/k/0", {}, left.signal);
    void ask("c/k/0");
    left.abort();
    await expect(leaver).rejects.toMatchObject({ code: Code.Canceled });
    expect(queue.waiting).toBe(1);
    expect(await drain()).toEqual(["a/k/0", "a/k/1", "c/k/0"]);
  });

  it("gives tenants that always wait time by their weights, whatever their requests take", async () => {
    const { timeOf, run } = clockScene(8);
    await run([
      { tenant: "a", weight: 1, waits: 12, takes: () => 100 },
      { tenant: "b", weight: 2, waits: 12, takes: (random) => 20 + random(600) },
      { tenant: "c", weight: 5, waits: 12, takes: (random) => 50 + random(60) },
    ]);
    const all = timeOf("a") + timeOf("b") + timeOf("c");
    // Within 5%.
    expect((8 * timeOf("a")) / all / 1).toBeCloseTo(1, 1);
    expect((8 * timeOf("b")) / all / 2).toBeCloseTo(1, 1);
    expect((8 * timeOf("c")) / all / 5).toBeCloseTo(1, 1);
  });

  it("owes nothing to a tenant that wanted less than its part before", async () => {
    const { timeOf, run } = clockScene(4);
    const modest = { tenant: "modest", weight: 1, waits: 1, takes: () => 50 };
    const busy = { tenant: "busy", weight: 1, waits: 10, takes: () => 50 };
    await run([modest, busy]);
    const before = timeOf("busy");
    await run([{ ...modest, waits: 10 }, busy]);
    expect((timeOf("busy") - before) / 60_000 / 5).toBeCloseTo(0.5, 1);
  });

  it("never runs more than it may, and starts everyone, in any order of coming and going", async () => {
    const queue = new FairQueue(8, 1_000); // and one more
    const random = randomNumbers(1);
    const running: (() => void)[] = [];
    let started = 0;
    for (let count = 0; count < 500; count++) {
      const who = { tenant: `t${random(5)}`, key: `k${random(3)}` };
      const claim = { ...who, weight: 1 + random(3), priority: 0, size: 1 };
      void queue.enter(claim, new AbortController().signal).then((end) => {
        started++;
        running.push(end);
      });
      await settled();
      expect(running.length).toBeLessThanOrEqual(9);
      if (random(2) === 0) running.splice(random(running.length), 1)[0]?.();
    }
    while (running.length > 0) {
      running.pop()?.();
      await settled();
    }
    expect(started).toBe(500);
    expect(queue.waiting).toBe(0);
  });
});
