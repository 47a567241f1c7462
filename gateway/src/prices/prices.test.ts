import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { fakeModel } from "../../test/fake-script.ts";
import { adminHeaders, bearer, call, chat, makeKey, register } from "../../test/gateway-client.ts";
import { forgetPrices } from "./current-price.ts";
import { amountOf, microsOf } from "./money.ts";
import { costOf, mostOf } from "./price.ts";
import { readPrices } from "./prices-store.ts";

// Workers fall silent soon, so each test has one that was just heard from.
beforeEach(() => register(0));

const admin = (method: string, path: string, body?: object) =>
  call(`/admin/v1${path}`, {
    ...{ method, headers: adminHeaders },
    ...(body && { body: JSON.stringify(body) }),
  });
const model = fakeModel.id ?? "";
const usd = { model, currency: "USD", prompt: "2", cached: "0.5", visible: "10.000001" };

async function setPrice(price: object): Promise<Response> {
  const response = await admin("POST", "/prices", price);
  forgetPrices();
  return response;
}

describe("money", () => {
  it("is exact in both directions", () => {
    for (const text of ["0", "0.000001", "2.5", "0.15", "999999999.999999"]) {
      expect(amountOf(microsOf(text))).toBe(text);
    }
    expect(microsOf("1.50")).toBe(1_500_000);
  });

  it("is what each kind of token costs, rounded once", () => {
    const price = { prompt: 150_000, cached: 75_000, visible: 600_000 };
    const tokens = { promptTokens: 1_000, cachedTokens: 400, visibleTokens: 50 };
    expect(costOf(price, tokens)).toBe(90 + 30 + 30);
    expect(costOf(price, { promptTokens: 3, cachedTokens: 0, visibleTokens: 0 })).toBe(0);
    expect(costOf(price, { promptTokens: 4, cachedTokens: 0, visibleTokens: 0 })).toBe(1);
    expect(costOf(null, tokens)).toBe(0);
    // Beyond what a double holds exactly.
    const dear = { prompt: 999_999_999_999, cached: 0, visible: 0 };
    expect(costOf(dear, { promptTokens: 1_000_001, cachedTokens: 0, visibleTokens: 0 })).toBe(
      1_000_000_999_999,
    );
    expect(mostOf({ ...price, cached: 200_000 }, 1_000, 50)).toBe(200 + 30);
  });
});

describe("prices", () => {
  it("hold from their time on, and old usage keeps its cost", async () => {
    const { key, tenant } = await makeKey("prices-time");
    const ask = async () => {
      const response = await chat(key, { serial: "word ".repeat(20) }, { max_tokens: 50 });
      const { usage } = await response.json<{
        usage: { prompt_tokens: number; anabranch: Record<string, number> };
      }>();
      const { cached_tokens = 0, visible_tokens = 0 } = usage.anabranch;
      return {
        promptTokens: usage.prompt_tokens,
        cachedTokens: cached_tokens,
        visibleTokens: visible_tokens,
      };
    };
    const total = async () => {
      const response = await call("/v1/usage", { headers: bearer(key) });
      const { currency, totals } = await response.json<{
        currency: string | null;
        totals: { cost: string };
      }>();
      return { currency, cost: totals.cost };
    };
    await ask();
    expect(await total()).toEqual({ currency: null, cost: "0" });

    expect(await (await setPrice(usd)).json()).toMatchObject(usd);
    const first = costOf({ prompt: 2e6, cached: 5e5, visible: 10_000_001 }, await ask());
    expect(first).toBeGreaterThan(200);
    expect(await total()).toEqual({ currency: "USD", cost: amountOf(first) });

    await setPrice({ ...usd, prompt: "4", cached: undefined });
    const second = costOf({ prompt: 4e6, cached: 4e6, visible: 10_000_001 }, await ask());
    await setPrice({ ...usd, prompt: "9", from: Math.floor(Date.now() / 1_000) + 86_400 });
    expect((await readPrices(env.DB, Date.now())).get(model)?.prompt).toBe(4e6);
    expect((await readPrices(env.DB, Date.now() + 2 * 86_400_000)).get(model)?.prompt).toBe(9e6);

    expect((await admin("DELETE", `/prices?model=${model}`)).status).toBe(200);
    forgetPrices();
    await ask();
    expect(await total()).toEqual({ currency: "USD", cost: amountOf(first + second) });
    expect((await readPrices(env.DB, Date.now() + 2 * 86_400_000)).has(model)).toBe(false);
    expect((await admin("DELETE", `/prices?model=${model}`)).status).toBe(404);

    const report = await admin("GET", `/usage?tenant=${tenant}`);
    expect(await report.json()).toMatchObject({
      currency: "USD",
      rows: [{ requests: 4, cost: amountOf(first + second) }],
    });
    const { entries } = await (await admin("GET", "/audit?limit=1000")).json<{
      entries: { action: string }[];
    }>();
    const changes = entries.map(({ action }) => action).filter((each) => each.startsWith("price."));
    expect(changes).toEqual(["price.delete", "price.set", "price.set", "price.set"]);
  });

  it("cost nothing for an answer from the cache", async () => {
    await setPrice(usd);
    const { key } = await makeKey("prices-cache");
    const script = { serial: "word ".repeat(20) };
    for (const state of ["miss", "hit"]) {
      const response = await chat(key, script, { temperature: 0, max_tokens: 50 });
      expect(response.headers.get("x-anabranch-cache")).toBe(state);
      await response.text();
    }
    const costs = async () => {
      const { rows } = await (await admin("GET", "/usage?tenant=prices-cache&by=cache")).json<{
        rows: { cache: string; cost: string }[];
      }>();
      return Object.fromEntries(rows.map(({ cache, cost }) => [cache, microsOf(cost)]));
    };
    // Rows are written a moment after their request has ended.
    await expect
      .poll(costs, { timeout: 5_000 })
      .toEqual({ hit: 0, miss: expect.toSatisfy((cost: number) => cost > 0) });
  });

  it("have one currency, and no time that has passed", async () => {
    await setPrice(usd);
    expect((await setPrice({ ...usd, currency: "EUR" })).status).toBe(409);
    for (const wrong of [
      { from: 1 },
      { currency: "usd" },
      { prompt: "-1" },
      { prompt: 1 },
      { visible: "1.0000001" },
      { visible: "1e3" },
      { more: "1" },
    ]) {
      expect((await setPrice({ ...usd, ...wrong })).status).toBe(400);
    }
  });
});

describe("a budget in money", () => {
  it("is never overspent by concurrent requests, and used up is insufficient_quota", async () => {
    await setPrice({ model, currency: "USD", prompt: "0", visible: "1000" });
    // A visible token is a thousandth: a request reserves 0.05 and takes 0.02.
    const { key, id } = await makeKey("prices-budget", { cost_per_month: "0.13" });
    const ask = () => chat(key, { serial: "word ".repeat(20), stepMs: 5 }, { max_tokens: 50 });
    const at_once = await Promise.all(Array.from({ length: 10 }, ask));
    expect(at_once.filter(({ status }) => status === 200)).toHaveLength(2);
    await Promise.all(at_once.map((response) => response.text()));
    const statuses: number[] = [];
    for (let count = 0; count < 4; count++) {
      const response = await ask();
      statuses.push(response.status);
      const text = await response.text();
      if (response.status === 200) continue;
      expect(response.headers.get("x-should-retry")).toBe("false");
      const { error } = JSON.parse(text);
      expect(error.code).toBe("insufficient_quota");
      expect(error.message).toContain("money of this month: Limit 0.13, used 0.1, requested 0.05");
    }
    expect(statuses).toEqual([200, 200, 200, 429]);
    const { month } = await (await admin("GET", "/tenants/prices-budget")).json<{
      month: object;
    }>();
    expect(month).toMatchObject({ cost: "0.1", key_costs: { [id]: "0.1" } });
    const changed = await admin("PATCH", `/keys/${id}`, { cost_per_month: null });
    expect(await changed.json()).toMatchObject({ cost_per_month: null });
  });
});
