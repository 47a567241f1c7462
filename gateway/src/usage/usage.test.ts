import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import {
  adminHeaders,
  bearer,
  call,
  chat,
  events,
  makeKey,
  register,
} from "../../test/gateway-client.ts";
import { tenantObject } from "../environment.ts";

// Workers fall silent soon, so each test has one that was just heard from.
beforeEach(() => register(0));

interface Block {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  anabranch: Record<"steps" | "stages" | "branches" | "visible_tokens" | "cached_tokens", number>;
}

const usageOf = async (key: string, query = "") => {
  const response = await call(`/v1/usage${query}`, { headers: bearer(key) });
  const body = await response.json<{ totals: object; data: { start: number }[]; error: object }>();
  return { status: response.status, body };
};

const script = { serial: "one two ", stage: { A: "a b c ", B: "d e " }, tail: "end" };
const parallel = { anabranch: { mode: "parallel" } };

describe("usage", () => {
  it("is the sum of the usage blocks that the client saw", async () => {
    const { key, id } = await makeKey("usage-sum");
    const blocks: Block[] = [];
    for (const fields of [parallel, { temperature: 0, ...parallel }, { max_tokens: 2 }]) {
      for (let twice = 0; twice < 2; twice++) {
        const whole = await chat(key, script, fields);
        blocks.push((await whole.json<{ usage: Block }>()).usage);
        const stream_options = { include_usage: true };
        const stream = await chat(key, script, { ...fields, stream: true, stream_options });
        const last = (await events(stream)).at(-1);
        expect(last).toMatchObject({ choices: [] });
        blocks.push(last?.usage as Block);
      }
    }
    const sum = (of: (block: Block) => number) => blocks.reduce((all, each) => all + of(each), 0);
    for (const by of ["hour", "day"]) {
      const { body } = await usageOf(key, `?by=${by}`);
      const expected = {
        requests: blocks.length,
        prompt_tokens: sum((block) => block.prompt_tokens),
        completion_tokens: sum((block) => block.completion_tokens),
        total_tokens: sum((block) => block.total_tokens),
        visible_tokens: sum((block) => block.anabranch.visible_tokens),
        steps: sum((block) => block.anabranch.steps),
        stages: sum((block) => block.anabranch.stages),
        branches: sum((block) => block.anabranch.branches),
        cache_hits: 3,
      };
      expect(body.totals).toMatchObject(expected);
      expect(body.data).toMatchObject([{ ...expected, model: "fake", key: id }]);
      const [row] = body.data;
      expect(row && row.start % (by === "hour" ? 3_600 : 86_400)).toBe(0);
    }
  });

  it("has what the classifier expected beside what was observed", async () => {
    const { key } = await makeKey("usage-expected");
    const whole = await chat(key, script, {
      anabranch: { mode: "parallel", classification: true },
    });
    const { usage, anabranch } = await whole.json<{
      usage: Block;
      anabranch: { classification: { probability: number; speedup: number } };
    }>();
    // Nothing is expected to branch in mode serial.
    await (await chat(key, script, { anabranch: { mode: "serial" } })).text();
    const { classification } = (await usageOf(key)).body.totals as {
      classification: Record<string, number>;
    };
    const { probability, speedup } = anabranch.classification;
    const { visible_tokens, steps } = usage.anabranch;
    expect(classification).toMatchObject({ requests: 1, parallel: 1, visible_tokens, steps });
    expect(classification.expected_parallel).toBeCloseTo(probability, 3);
    expect(classification.expected_steps).toBeCloseTo(visible_tokens / speedup, 2);
  });

  it("says what the key and its tenant have spent this month, and what they may", async () => {
    const { key } = await makeKey("usage-month", {
      tokens_per_month: 5_000,
      cost_per_month: "2.5",
    });
    const { key: other } = await makeKey("usage-month");
    for (const each of [key, key, other]) await (await chat(each, script, parallel)).text();
    const seen = async (each: string) =>
      (await usageOf(each)).body as unknown as {
        totals: { total_tokens: number };
        month: Record<"key" | "tenant", object>;
      };
    const { totals, month } = await seen(key);
    const tokens = totals.total_tokens;
    expect(tokens).toBeGreaterThan(0);
    const none = { tokens_per_month: null, cost_per_month: null };
    expect(month).toEqual({
      key: { tokens: (2 * tokens) / 3, tokens_per_month: 5_000, cost: "0", cost_per_month: "2.5" },
      tenant: { ...none, tokens, cost: "0" },
    });
    expect((await seen(other)).month.key).toEqual({ ...none, tokens: tokens / 3, cost: "0" });
  });

  it("shows a tenant nothing of another", async () => {
    const mine = await makeKey("usage-mine");
    const theirs = await makeKey("usage-theirs");
    await (await chat(theirs.key, "hi")).text();
    expect((await usageOf(mine.key)).body).toMatchObject({ data: [], totals: { requests: 0 } });
    expect((await usageOf(mine.key, `?key=${theirs.id}`)).body).toMatchObject({ data: [] });
  });

  it("counts an answer that failed in the middle apart", async () => {
    const { key } = await makeKey("usage-failed");
    await (await chat(key, { serial: "a b c d", dieAt: 2 }, { stream: true })).text();
    expect((await usageOf(key)).body.totals).toMatchObject({
      requests: 0,
      completion_tokens: 0,
      incomplete: { requests: 1, completion_tokens: 2 },
    });
    const row = await env.DB.prepare("SELECT * FROM usage WHERE tenant_id = ?")
      .bind("usage-failed")
      .first();
    expect(row).toMatchObject({ status: 502, completion_tokens: 2, worker: "fake-0" });
  });

  it("counts requests that were refused, for their tenant and the operator, a flood of them in one row", async () => {
    const { key, id, tenant } = await makeKey("usage-refused", { rpm: 2 });
    const answers = [await chat(key, "hi"), await chat(key, "hi", { temperature: "hot" })];
    const flood = await Promise.all(Array.from({ length: 20 }, () => chat(key, "hi")));
    await Promise.all([...answers, ...flood].map((answer) => answer.text()));
    expect(flood.map(({ status }) => status)).toEqual(Array(20).fill(429));
    await expect
      .poll(async () => (await usageOf(key)).body.totals, { timeout: 5_000 })
      .toMatchObject({ requests: 1, refused: 21, incomplete: { requests: 0 } });
    const report = await call(`/admin/v1/usage?tenant=${tenant}&by=key,status`, {
      headers: adminHeaders,
    });
    const counted = { key: id, succeeded: 0, refused: 0 };
    expect((await report.json<{ rows: object[] }>()).rows).toMatchObject([
      { ...counted, status: 200, requests: 1, succeeded: 1 },
      { ...counted, status: 400, requests: 1, refused: 1 },
      { ...counted, status: 429, requests: 20, refused: 20 },
    ]);
    const { rows } = await env.DB.prepare(
      "SELECT count(*) AS rows FROM refusals WHERE tenant_id = ? AND status = 429",
    )
      .bind(tenant)
      .first<{ rows: number }>()
      .then((found) => found ?? { rows: 0 });
    // Two if a minute ended within.
    expect(rows).toBeLessThanOrEqual(2);
  });

  it("names the wrong parameter", async () => {
    const { key } = await makeKey("usage-query");
    expect(await usageOf(key, "?by=year")).toMatchObject({
      status: 400,
      body: { error: { param: "by" } },
    });
    expect(await usageOf(key, "?start=x")).toMatchObject({
      status: 400,
      body: { error: { param: "start" } },
    });
  });

  it("is kept while D1 is away, and written when it is back", async () => {
    const { key, tenant } = await makeKey("usage-away");
    await env.DB.prepare("ALTER TABLE usage RENAME TO usage_away").run();
    try {
      const answers = await Promise.all(Array.from({ length: 7 }, () => chat(key, "hi")));
      expect(answers.map(({ status }) => status)).toEqual(Array(7).fill(200));
      await expect(Promise.resolve(tenantObject(env, tenant).flush())).rejects.toThrow();
    } finally {
      await env.DB.prepare("ALTER TABLE usage_away RENAME TO usage").run();
    }
    expect((await usageOf(key)).body.totals).toMatchObject({ requests: 7 });
  });
});
