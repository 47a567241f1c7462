import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { adminHeaders, call } from "../../test/gateway-client.ts";
import { tenantObject } from "../environment.ts";
import { insertUsage, type UsageRow } from "../usage/usage-store.ts";

type Json = Record<string, unknown>;

const day = 86_400_000;
/** 2027-01-01T00:00:00Z; no other test has rows of that time. */
const start = Date.UTC(2027, 0, 1);
const range = `start=${start / 1_000}&end=${start / 1_000 + 10 * 86_400}`;

/** A hundred answers of each of two tenants, with times of 1 to 100 ms, and some that failed. */
const rows: UsageRow[] = ["acme", "bolt"].flatMap((tenantId, t) =>
  Array.from({ length: 100 }, (_, n): UsageRow => {
    const status = n < 90 ? 200 : n < 94 ? 499 : n < 98 ? 429 : 503;
    return {
      requestId: `report-${tenantId}-${n}`,
      ...{ tenantId, keyId: `key-${t}-${n % 2}`, model: n % 4 === 0 ? "big" : "small" },
      ...{ endpoint: "/v1/chat/completions", at: start + n * (day / 20), status },
      ...{ cache: n % 10 === 0 ? "hit" : "miss", mode: n % 5 === 0 ? "parallel" : "serial" },
      ...{ stream: true, worker: `w${n % 3}`, promptTokens: 10, completionTokens: 5 + t },
      ...{ visibleTokens: 4, cachedTokens: 2, steps: 3, stages: 0, branches: 0, cost: 7_005 },
      ...{ startedMs: 1, firstTextMs: status === 200 ? n + 1 : null, totalMs: 2 * (n + 1) },
    };
  }),
);

beforeAll(() => insertUsage(env.DB, rows));

const ask = (query: string) => call(`/admin/v1/usage?${query}`, { headers: adminHeaders });
const report = async (query: string) =>
  ((await (await ask(`${range}&${query}`)).json()) as { rows: Json[] }).rows;

describe("the operator's usage", () => {
  it("counts everything, by how it ended, with percentiles of whole answers", async () => {
    expect(await report("")).toEqual([
      {
        ...{ requests: 200, succeeded: 180, abandoned: 8, refused: 8, failed: 4, cache_hits: 20 },
        ...{ prompt_tokens: 2_000, cached_tokens: 400, completion_tokens: 1_100 },
        ...{ visible_tokens: 800, steps: 600, stages: 0, branches: 0, cost: "1.401" },
        // Middles of the buckets of 45, 86 and 90, and of 90, 172 and 180.
        ...{ first_text_ms_p50: 46, first_text_ms_p95: 84, first_text_ms_p99: 92 },
        ...{ total_ms_p50: 92, total_ms_p95: 168, total_ms_p99: 184 },
      },
    ]);
  });

  it("has a tenant's requests as soon as they have ended", async () => {
    const at = start + 20 * day;
    const row = { ...(rows[0] as UsageRow), requestId: "report-late", tenantId: "late", at };
    await tenantObject(env, "late").finish(row.requestId, row.keyId, "release", row);
    const response = await ask(`tenant=late&start=${at / 1_000}`);
    expect(await response.json()).toMatchObject({ rows: [{ requests: 1 }] });
  });

  it("tells apart what is asked for, and the parts add up", async () => {
    for (const by of ["tenant", "key", "model", "mode", "status", "cache", "worker", "endpoint"]) {
      const parts = await report(`by=${by}`);
      const expected = new Set(rows.map((row) => shownOf(row, by)));
      expect(new Set(parts.map((part) => part[by]))).toEqual(expected);
      expect(parts.reduce((sum, part) => sum + Number(part.requests), 0)).toBe(200);
    }
    const fine = await report("by=day,tenant,model");
    expect(fine).toHaveLength(5 * 2 * 2);
    expect(fine[0]).toMatchObject({
      start: start / 1_000,
      tenant: "acme",
      model: "big",
      requests: 5,
    });
  });

  it("filters by every dimension", async () => {
    const some = await report("tenant=acme&model=big&status=200&worker=w0&mode=parallel&cache=hit");
    const wanted = rows.filter(
      ({ tenantId, model, status, worker, mode, cache }) =>
        `${tenantId} ${model} ${status} ${worker} ${mode} ${cache}` ===
        "acme big 200 w0 parallel hit",
    );
    expect(wanted.length).toBeGreaterThan(0);
    expect(some[0]?.requests).toBe(wanted.length);
  });

  it("begins days where the caller's begin", async () => {
    const shifted = await report("by=day&utc_offset=120");
    expect(shifted.map((row) => (Number(row.start) + 7_200) % 86_400)).toEqual(
      shifted.map(() => 0),
    );
    // 19 of 20 requests of each tenant fall on the first day: the last one belongs to the next.
    expect(shifted[0]?.requests).toBe(2 * 20 - 2);
  });

  it("is CSV where that is asked for", async () => {
    const response = await ask(`${range}&by=tenant&format=csv`);
    expect(response.headers.get("content-type")).toContain("text/csv");
    const [head, ...lines] = (await response.text()).trim().split("\n");
    expect(head).toMatch(/^tenant,requests,succeeded,.*,cost,.*,currency$/);
    expect(lines.map((line) => line.split(",").slice(0, 3))).toEqual([
      ["acme", "100", "90"],
      ["bolt", "100", "90"],
    ]);
  });

  it("gives a long report in pages, which together are the whole", async () => {
    const by = `${range}&by=day,tenant,model,status`;
    const whole = await report("by=day,tenant,model,status");
    const [paged, lines]: [Json[], string[]] = [[], []];
    for (let next: number | null = 0; next !== null; ) {
      const page = (await (await ask(`${by}&limit=7&offset=${next}`)).json()) as {
        rows: Json[];
        truncated: boolean;
        next: number | null;
      };
      const csv = await ask(`${by}&limit=7&offset=${next}&format=csv`);
      lines.push(...(await csv.text()).trim().split("\n").slice(1));
      paged.push(...page.rows);
      expect(page.truncated).toBe(page.next !== null);
      expect(csv.headers.get("x-next-offset")).toBe(page.next === null ? null : String(page.next));
      next = page.next;
    }
    expect(whole.length).toBeGreaterThan(14);
    expect(paged).toEqual(whole);
    expect(lines).toHaveLength(whole.length);
  });

  it.each([
    "limit=0",
    "offset=-1",
    "by=request_id",
    "by=tenant,day",
    "by=day;drop",
    "utc_offset=x",
    "format=xml",
    "start=-1",
  ])("refuses %s", async (query) => expect((await ask(query)).status).toBe(400));
});

function shownOf(row: UsageRow, by: string): unknown {
  const names: Json = { tenant: row.tenantId, key: row.keyId };
  return names[by] ?? (row as Json)[by];
}
