import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { adminHeaders, call, chat, makeKey, register } from "../../test/gateway-client.ts";
import { forgetKeys } from "../auth/key-store.ts";
import { tenantObject } from "../environment.ts";
import { type Limits, noLimits } from "./limits.ts";
import { SpendingWindow } from "./window.ts";

// Workers fall silent soon, so each test has one that was just heard from.
beforeEach(() => register(0));

let names = 0;
/** A window of its own for each test, with a clock in the test's hand. */
async function inWindow(test: (window: SpendingWindow) => void): Promise<void> {
  const stub = tenantObject(env, `window-${names++}`);
  await runInDurableObject(stub, (_, state) => test(new SpendingWindow(state.storage.sql)));
}

const spend = (tokens: number, cost = 0) => ({ tokens, cost });
const t0 = Date.UTC(2027, 0, 31, 12);
const month = 24 * 3_600_000;

/** Limits of the key alone, or of the tenant. */
const ofKey = (limits: Partial<Limits>) => ({ key: { ...noLimits, ...limits }, tenant: noLimits });
const ofTenant = (limits: Partial<Limits>) => ({
  key: noLimits,
  tenant: { ...noLimits, ...limits },
});

describe("the window", () => {
  it("lets rpm requests through in any minute", () =>
    inWindow((window) => {
      const limits = ofKey({ rpm: 2 });
      const ask = (id: string, at: number, key = "k") =>
        window.reserve(id, key, spend(1), limits, t0 + at);
      expect(ask("a", 0)).toMatchObject({
        refusal: null,
        standing: { requests: { limit: 2, remaining: 1 }, tokens: null },
      });
      expect(ask("b", 10_000)).toMatchObject({ standing: { requests: { remaining: 0 } } });
      expect(ask("c", 20_000)).toMatchObject({
        refusal: { kind: "requests", of: "key", retryAfterMs: 40_000 },
      });
      expect(ask("d", 20_000, "other").refusal).toBeNull();
      window.settle("a", "k", spend(1), t0 + 30_000);
      expect(ask("e", 60_000).refusal).toBeNull();
      expect(ask("f", 60_001)).toMatchObject({ refusal: { retryAfterMs: 9_999 } });
    }));

  it("counts a reservation in full until it is settled, and what was used for a minute after", () =>
    inWindow((window) => {
      const ask = (id: string, tokens: number, at: number) =>
        window.reserve(id, "k", spend(tokens), ofKey({ tpm: 100 }), t0 + at).refusal;
      expect(ask("a", 80, 0)).toBeNull();
      expect(ask("b", 30, 70_000)).toMatchObject({ kind: "tokens" });
      window.settle("a", "k", spend(50), t0 + 70_000);
      expect(ask("b", 51, 80_000)).toMatchObject({ used: 50, retryAfterMs: 50_000 });
      expect(ask("b", 50, 80_000)).toBeNull();
      window.settle("b", "k", spend(0), t0 + 81_000);
      expect(ask("c", 100, 130_000)).toBeNull();
    }));

  it("corrects a reservation while it runs, and releases what was refused", () =>
    inWindow((window) => {
      const limits = ofKey({ rpm: 2, tpm: 100 });
      window.reserve("a", "k", spend(90), limits, t0);
      window.correct("a", spend(40), t0 + 1);
      expect(window.reserve("b", "k", spend(60), limits, t0 + 2).refusal).toBeNull();
      window.release("b");
      expect(window.reserve("c", "k", spend(60), limits, t0 + 3).refusal).toBeNull();
    }));

  it("reports that a request larger than the limit can never pass", () =>
    inWindow((window) => {
      for (const limits of [ofKey({ tpm: 100 }), ofTenant({ tokensPerMonth: 100 })]) {
        expect(window.reserve("a", "k", spend(101), limits, t0)).toMatchObject({
          refusal: { retryAfterMs: null },
        });
      }
    }));

  it("takes a reservation that nobody settles as spent when its lease ends", () =>
    inWindow((window) => {
      const ask = (at: number) =>
        window.reserve("b", "k", spend(1), ofKey({ tpm: 100 }), t0 + at).refusal;
      window.reserve("lost", "k", spend(100), ofKey({ tpm: 100 }), t0);
      expect(ask(179_000)).not.toBeNull();
      expect(ask(239_000)).not.toBeNull();
      expect(ask(240_001)).toBeNull();
    }));

  it("lets so many requests run at once", () =>
    inWindow((window) => {
      const ask = (id: string, at: number) =>
        window.reserve(id, "k", spend(1), ofKey({ maxConcurrent: 2 }), t0 + at).refusal;
      expect([ask("a", 0), ask("b", 0)]).toEqual([null, null]);
      expect(ask("c", 1)).toMatchObject({ kind: "concurrent", limit: 2, used: 2 });
      window.settle("a", "k", spend(1), t0 + 2);
      expect(ask("c", 3)).toBeNull();
      // Whoever is never heard of again runs no longer.
      expect(ask("d", 180_002)).toBeNull();
    }));

  it("holds a month's tokens, what runs included, and begins anew with the next month", () =>
    inWindow((window) => {
      const ask = (id: string, tokens: number, at: number) =>
        window.reserve(id, "k", spend(tokens), ofKey({ tokensPerMonth: 100 }), t0 + at).refusal;
      expect(ask("a", 60, 0)).toBeNull();
      expect(ask("b", 41, 1)).toMatchObject({
        ...{ kind: "monthly", used: 60 },
        retryAfterMs: Date.UTC(2027, 1) - t0 - 1,
      });
      window.settle("a", "k", spend(70), t0 + 2);
      // Told twice, booked once.
      window.settle("a", "k", spend(70), t0 + 3);
      expect(window.month(t0 + 4)).toEqual({ tenant: spend(70), keys: { k: spend(70) } });
      expect(ask("b", 31, 3_600_000)).toMatchObject({ used: 70 });
      // More than the budget is too much in any month, and when it is spent, not the request's fault.
      expect(ask("b", 101, 3_600_000)).toMatchObject({ retryAfterMs: null });
      window.settle("c", "k", spend(31), t0 + 3_600_001);
      expect(ask("b", 101, 3_600_002)).toMatchObject({
        ...{ kind: "monthly", used: 101 },
        retryAfterMs: Date.UTC(2027, 1) - t0 - 3_600_002,
      });
      expect(ask("b", 31, month)).toBeNull();
    }));

  it("books what needed no reservation", () =>
    inWindow((window) => {
      window.settle("a", "k", spend(30), t0);
      window.settle("b", "other", spend(12), t0);
      expect(window.month(t0)).toEqual({
        tenant: spend(42),
        keys: { k: spend(30), other: spend(12) },
      });
      expect(window.reserve("c", "k", spend(1), ofKey({ tpm: 30 }), t0 + 1).refusal).toMatchObject({
        used: 30,
      });
    }));

  it("holds a month's money, what runs included, of a key and of a tenant", () =>
    inWindow((window) => {
      for (const [key, limits] of [
        ["one", ofKey({ costPerMonth: 1_000 })],
        ["two", ofTenant({ costPerMonth: 1_850 })],
      ] as const) {
        const ask = (id: string, cost: number, at = 0) =>
          window.reserve(`${key}-${id}`, key, spend(5, cost), limits, t0 + at).refusal;
        expect(ask("a", 600)).toBeNull();
        expect(ask("b", 500)).toMatchObject({ kind: "cost", requested: 500 });
        window.correct(`${key}-a`, spend(5, 400), t0 + 1);
        expect(ask("b", 600)).toBeNull();
        window.settle(`${key}-a`, key, spend(5, 300), t0 + 2);
        window.settle(`${key}-b`, key, spend(5, 550), t0 + 2);
        expect(ask("c", 151, 3)).toMatchObject({ retryAfterMs: Date.UTC(2027, 1) - t0 - 3 });
        expect(ask("c", 150, 3)).toBeNull();
        window.release(`${key}-c`);
        expect(ask("never", 1_851, 4)).toMatchObject({ retryAfterMs: null });
        expect(window.month(t0 + 5).keys[key]).toEqual(spend(10, 850));
      }
      expect(window.month(t0 + 6).tenant).toEqual(spend(20, 1_700));
      const next = ofTenant({ costPerMonth: 1_700 });
      expect(window.reserve("x", "two", spend(1, 1_700), next, t0 + month).refusal).toBeNull();
    }));

  it("goes on with what was spent before there were prices", async () => {
    const stub = tenantObject(env, `window-${names++}`);
    await runInDurableObject(stub, (_, { storage: { sql } }) => {
      for (const table of ["spending", "months"]) sql.exec(`ALTER TABLE ${table} DROP COLUMN cost`);
      sql.exec("INSERT INTO months VALUES ('', '2027-01', 7), ('k', '2027-01', 7)");
      const window = new SpendingWindow(sql);
      window.settle("a", "k", spend(1, 2), t0);
      expect(window.month(t0)).toEqual({ tenant: spend(8, 2), keys: { k: spend(8, 2) } });
    });
  });

  it("bounds the keys of a tenant together", () =>
    inWindow((window) => {
      const ask = (id: string, key: string) =>
        window.reserve(id, key, spend(40), ofTenant({ tpm: 100, rpm: 9 }), t0);
      expect(ask("a", "one")).toMatchObject({
        standing: { tokens: { limit: 100, remaining: 60 } },
      });
      expect(ask("b", "two").refusal).toBeNull();
      expect(ask("c", "three")).toMatchObject({
        refusal: { kind: "tokens", of: "tenant", used: 80 },
      });
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

  it("are told to the client, and so is what is left", async () => {
    const { key } = await makeKey("limits-headers", { rpm: 5, tpm: 10_000 });
    const { headers } = await chat(key, "hi", { max_tokens: 10 });
    expect(headers.get("x-ratelimit-limit-requests")).toBe("5");
    expect(headers.get("x-ratelimit-remaining-requests")).toBe("4");
    expect(headers.get("x-ratelimit-limit-tokens")).toBe("10000");
    expect(Number(headers.get("x-ratelimit-remaining-tokens"))).toBeLessThan(10_000);
    expect(headers.get("openai-processing-ms")).toMatch(/^\d+$/);
    // A refusal says it, too, and takes nothing.
    const script = { serial: "word ".repeat(1_000) };
    await (await chat(key, script, { max_tokens: 1_000 })).text();
    const left = async (bytes: number) => {
      const refused = await chat(key, "x".repeat(bytes), { max_tokens: 1 });
      expect(refused.status).toBe(429);
      expect(refused.headers.get("x-ratelimit-limit-tokens")).toBe("10000");
      expect(refused.headers.get("x-ratelimit-remaining-requests")).toBe("3");
      return Number(refused.headers.get("x-ratelimit-remaining-tokens"));
    };
    await expect.poll(() => left(9_500)).toBeGreaterThan(5_000);
    expect(await left(20_000)).toBeLessThan(9_500);
    const free = await makeKey("limits-headers");
    expect((await chat(free.key, "hi")).headers.has("x-ratelimit-limit-requests")).toBe(false);
  });
});

describe("a tenant's limits", () => {
  const admin = (path: string, body?: object) =>
    call(`/admin/v1/tenants${path}`, {
      headers: adminHeaders,
      ...(body && { method: "PATCH", body: JSON.stringify(body) }),
    });

  it("hold over all its keys, at once and in a month", async () => {
    const [one, two] = [await makeKey("limits-tenant"), await makeKey("limits-tenant")];
    expect((await admin("/limits-tenant", { max_concurrent: 1 })).status).toBe(200);
    forgetKeys();
    const slow = { serial: "word ".repeat(100), stepMs: 4 };
    const running = chat(one.key, slow, { max_tokens: 100 });
    await expect.poll(async () => (await chat(two.key, "hi")).status).toBe(429);
    await (await running).text();
    await expect.poll(async () => (await chat(two.key, "hi")).status).toBe(200);

    const { month } = await (await admin("/limits-tenant")).json<{
      month: { tokens: number; keys: Record<string, number> };
    }>();
    expect(month.keys[one.id]).toBeGreaterThanOrEqual(20);
    expect(month.tokens).toBe((month.keys[one.id] ?? 0) + (month.keys[two.id] ?? 0));

    const left = { max_concurrent: null, tokens_per_month: month.tokens + 100 };
    await admin("/limits-tenant", left);
    forgetKeys();
    const refused = await chat(two.key, "hi", { max_tokens: 100 });
    expect(refused.status).toBe(429);
    expect(refused.headers.get("x-should-retry")).toBe("false");
    const now = new Date();
    const next = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1)).toISOString();
    const anew = `begins anew on ${next.slice(0, 10)} (UTC).`;
    const told = (how: RegExp) => ({
      error: { code: "insufficient_quota", message: expect.stringMatching(how) },
    });
    expect(await refused.json()).toMatchObject(told(/^This request is larger than what is left/));
    await admin("/limits-tenant", { tokens_per_month: month.tokens });
    forgetKeys();
    const spent = await (await chat(two.key, "hi", { max_tokens: 1 })).json();
    expect(spent).toMatchObject(told(/^The tenant has spent this month's tokens: /));
    expect(JSON.stringify(spent)).toContain(anew);
  });

  it("are listed and changed by the operator, and nothing else is", async () => {
    await makeKey("limits-admin");
    expect((await admin("/limits-admin", { rpm: 7 })).status).toBe(200);
    expect(await (await admin("?limit=1000")).json()).toMatchObject({
      tenants: expect.arrayContaining([
        expect.objectContaining({ id: "limits-admin", rpm: 7, tpm: null }),
      ]),
    });
    expect((await admin("/nobody")).status).toBe(404);
    expect((await admin("/nobody", { rpm: 1 })).status).toBe(404);
    expect((await admin("/limits-admin", { rmp: 1 })).status).toBe(400);
  });
});
