import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { chat, makeKey, register } from "../../test/gateway-client.ts";
import { tenantObject } from "../environment.ts";
import { LimitWindow } from "./window.ts";

// Workers fall silent soon, so each test has one that was just heard from.
beforeEach(() => register(0));

let names = 0;
/** A window of its own for each test, with a clock in the test's hand. */
async function inWindow(test: (window: LimitWindow) => void): Promise<void> {
  const stub = tenantObject(env, `window-${names++}`);
  await runInDurableObject(stub, (_, state) => test(new LimitWindow(state.storage.sql)));
}

const t0 = 1_700_000_000_000;

describe("the window", () => {
  it("lets rpm requests through in any minute", () =>
    inWindow((window) => {
      const limits = { rpm: 2, tpm: null };
      expect(window.reserve("a", "k", 1, limits, t0)).toBeNull();
      expect(window.reserve("b", "k", 1, limits, t0 + 10_000)).toBeNull();
      expect(window.reserve("c", "k", 1, limits, t0 + 20_000)).toMatchObject({
        kind: "requests",
        retryAfterMs: 40_000,
      });
      expect(window.reserve("d", "other", 1, limits, t0 + 20_000)).toBeNull();
      window.settle("a", 1, t0 + 30_000);
      expect(window.reserve("e", "k", 1, limits, t0 + 60_000)).toBeNull();
      expect(window.reserve("f", "k", 1, limits, t0 + 60_001)).toMatchObject({
        retryAfterMs: 9_999,
      });
    }));

  it("counts a reservation in full until it is settled, and what was used for a minute after", () =>
    inWindow((window) => {
      const limits = { rpm: null, tpm: 100 };
      expect(window.reserve("a", "k", 80, limits, t0)).toBeNull();
      expect(window.reserve("b", "k", 30, limits, t0 + 70_000)).toMatchObject({ kind: "tokens" });
      window.settle("a", 50, t0 + 70_000);
      expect(window.reserve("b", "k", 51, limits, t0 + 80_000)).toMatchObject({
        used: 50,
        retryAfterMs: 50_000,
      });
      expect(window.reserve("b", "k", 50, limits, t0 + 80_000)).toBeNull();
      window.settle("b", 0, t0 + 81_000);
      expect(window.reserve("c", "k", 100, limits, t0 + 130_000)).toBeNull();
    }));

  it("corrects a reservation while it runs", () =>
    inWindow((window) => {
      const limits = { rpm: null, tpm: 100 };
      window.reserve("a", "k", 90, limits, t0);
      window.correct("a", 40, t0 + 1);
      expect(window.reserve("b", "k", 60, limits, t0 + 2)).toBeNull();
    }));

  it("releases what was refused, request and tokens", () =>
    inWindow((window) => {
      const limits = { rpm: 1, tpm: 100 };
      window.reserve("a", "k", 100, limits, t0);
      window.release("a");
      expect(window.reserve("b", "k", 100, limits, t0 + 1)).toBeNull();
    }));

  it("reports that a request larger than the limit can never pass", () =>
    inWindow((window) => {
      expect(window.reserve("a", "k", 101, { rpm: null, tpm: 100 }, t0)).toMatchObject({
        retryAfterMs: null,
      });
    }));

  it("takes a reservation that nobody settles as spent when its lease ends", () =>
    inWindow((window) => {
      const limits = { rpm: null, tpm: 100 };
      window.reserve("lost", "k", 100, limits, t0);
      expect(window.reserve("b", "k", 1, limits, t0 + 179_000)).not.toBeNull();
      expect(window.reserve("b", "k", 1, limits, t0 + 239_000)).not.toBeNull();
      expect(window.reserve("b", "k", 1, limits, t0 + 240_001)).toBeNull();
    }));
});

describe("a key's limits", () => {
  it("let exactly rpm of many concurrent requests through", async () => {
    const { key } = await makeKey("limits-rpm", { rpm: 5 });
    const responses = await Promise.all(Array.from({ length: 20 }, () => chat(key, "hi")));
    const codes = responses.map(({ status }) => status);
    expect(codes.filter((status) => status === 200)).toHaveLength(5);
    expect(codes.filter((status) => status === 429)).toHaveLength(15);
    const refused = responses.find(({ status }) => status === 429);
    expect(Number(refused?.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await refused?.json()).toMatchObject({
      error: { type: "rate_limit_error", code: "rate_limit_exceeded" },
    });
  });

  it("never let concurrent requests spend the same tokens", async () => {
    // A request reserves its prompt and 100 tokens: two of them fit, never a third.
    const { key } = await makeKey("limits-tpm", { tpm: 420 });
    const script = { serial: "word ".repeat(20), stepMs: 10 };
    const ask = () => chat(key, script, { max_tokens: 100 });
    const responses = await Promise.all(Array.from({ length: 10 }, ask));
    const passed = responses.filter(({ status }) => status === 200).length;
    expect(passed).toBe(1);
    // Settled: the answer took 20 tokens and its prompt, so there is room again.
    expect((await ask()).status).toBe(200);
  });

  it("reserve tokens for every choice of a request, and settle their sum", async () => {
    const { key } = await makeKey("limits-choices", { tpm: 700 });
    const script = { serial: "word ".repeat(20) };
    const ask = (n: number) => chat(key, script, { max_tokens: 100, n });
    expect((await ask(6)).status).toBe(429);
    expect((await ask(4)).status).toBe(200);
    // It took 80 tokens and its prompt once; had it kept its reservation there were no room.
    expect((await ask(3)).status).toBe(200);
  });

  it("enforce the model's default if the request names no max_tokens", async () => {
    const { key } = await makeKey("limits-default", { tpm: 1_000 });
    const response = await chat(key, "hi");
    expect(response.status).toBe(429);
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect(response.headers.get("retry-after")).toBeNull();
    expect((await chat(key, "hi", { max_tokens: 10 })).status).toBe(200);
  });

  it("count a request that a worker refuses, and none of its tokens", async () => {
    const { key } = await makeKey("limits-refused", { rpm: 2, tpm: 500 });
    const long = { refuse: "out_of_range", message: "too long" } as const;
    expect((await chat(key, long, { max_tokens: 300 })).status).toBe(400);
    await expect.poll(async () => (await chat(key, "hi", { max_tokens: 300 })).status).toBe(200);
    expect((await chat(key, "hi", { max_tokens: 5 })).status).toBe(429);
  });

  it("are not charged for what no worker could begin", async () => {
    const { key } = await makeKey("limits-unavailable", { rpm: 1 });
    expect((await chat(key, { refuse: "unavailable" })).status).toBe(503);
    await expect.poll(async () => (await chat(key, "hi")).status).toBe(200);
    expect((await chat(key, "hi")).status).toBe(429);
  });

  it("charge one request and no tokens for a cache hit", async () => {
    // The request reserves about 720 tokens and costs 200: one fits, two do not.
    const { key } = await makeKey("limits-cache", { tpm: 1_000 });
    const script = { serial: "word ".repeat(100) };
    const states: (string | null)[] = [];
    for (let count = 0; count < 4; count++) {
      const response = await chat(key, script, { temperature: 0, max_tokens: 120 });
      states.push(response.headers.get("x-anabranch-cache"));
      await response.text();
    }
    expect(states).toEqual(["miss", "hit", "hit", "hit"]);
    expect((await chat(key, script, { max_tokens: 120 })).status).toBe(200);
    expect((await chat(key, script, { max_tokens: 120 })).status).toBe(429);
  });
});
