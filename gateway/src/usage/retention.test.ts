import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { tenantObject } from "../environment.ts";
import { type ReportRow, reportUsage } from "./report-store.ts";
import { keptFrom } from "./retention.ts";
import { expireUsage, insertUsage, type UsageRow } from "./usage-store.ts";

const day = 86_400;
const today = Math.floor(Date.now() / 86_400_000) * day;

const rowOf = (tenantId: string, daysAgo: number, number = 0): UsageRow => ({
  ...{ requestId: `${tenantId}-${daysAgo}-${number}`, tenantId, keyId: "k", model: "m" },
  ...{ endpoint: "/v1/chat/completions", at: (today - daysAgo * day) * 1_000 + number },
  ...{ status: 200, cache: "miss", mode: "serial", stream: true, worker: null },
  ...{ promptTokens: 3, completionTokens: 2, visibleTokens: 2, cachedTokens: 0, steps: 2 },
  ...{ stages: 0, branches: 0, startedMs: 1, firstTextMs: 1, totalMs: 9 },
});

const rowsOf = async (tenant: string) => {
  const found = await env.DB.prepare("SELECT request_id AS id FROM usage WHERE tenant_id = ?")
    .bind(tenant)
    .all<{ id: string }>();
  return found.results.map(({ id }) => id).toSorted();
};
const requestsOf = async (tenant: string): Promise<ReportRow[string] | undefined> => {
  const question = { where: { tenant }, by: [], interval: null, utcOffset: 0 };
  const [row] = await reportUsage(env.DB, { ...question, rowsFrom: keptFrom(env) }, 10);
  return row?.requests;
};

describe("old usage", () => {
  it("is deleted by its tenant's object once a day, and stays in reports", async () => {
    const tenant = "retention-daily";
    const object = tenantObject(env, tenant);
    const rows = [rowOf(tenant, 200), rowOf(tenant, 91), rowOf(tenant, 90), rowOf(tenant, 1)];
    for (const row of rows) await object.finish(row.requestId, "k", "release", row);
    await insertUsage(env.DB, [rowOf("retention-other", 200)]);
    await object.flush();
    expect(await rowsOf(tenant)).toHaveLength(4);
    // Nothing is due before a day has passed.
    await runDurableObjectAlarm(object);
    expect(await rowsOf(tenant)).toHaveLength(4);
    const dueSoon = () =>
      runInDurableObject(object, (_, { storage }) => {
        storage.sql.exec("UPDATE usage_expiry SET due = 0");
        return storage.setAlarm(Date.now() + 60_000);
      });
    await dueSoon();
    await runDurableObjectAlarm(object);
    expect(await rowsOf(tenant)).toEqual([`${tenant}-1-0`, `${tenant}-90-0`]);
    expect(await rowsOf("retention-other")).toHaveLength(1);
    expect(await requestsOf(tenant)).toBe(4);
    // The next one is in a day.
    const next = await runInDurableObject(object, (_, { storage }) => storage.getAlarm());
    expect(next).toBeGreaterThan(Date.now() + 86_000_000);
    // It is tried again in a minute while D1 is away.
    await env.DB.prepare("ALTER TABLE usage RENAME TO usage_away").run();
    try {
      await dueSoon();
      await runDurableObjectAlarm(object);
    } finally {
      await env.DB.prepare("ALTER TABLE usage_away RENAME TO usage").run();
    }
    const retry = await runInDurableObject(object, (_, { storage }) => storage.getAlarm());
    expect(retry).toBeLessThan(Date.now() + 61_000);
  });

  it("goes in parts where there is much of it", async () => {
    const tenant = "retention-much";
    const rows = Array.from({ length: 5_100 }, (_, number) => rowOf(tenant, 100, number));
    for (let at = 0; at < rows.length; at += 100) {
      await insertUsage(env.DB, rows.slice(at, at + 100));
    }
    const cutoffs = { rows: today - 90 * day, sums: 0 };
    expect(await expireUsage(env.DB, tenant, cutoffs)).toEqual({ more: true, left: true });
    expect(await rowsOf(tenant)).toHaveLength(100);
    expect(await expireUsage(env.DB, tenant, cutoffs)).toEqual({ more: false, left: true });
    expect(await rowsOf(tenant)).toEqual([]);
    expect(await requestsOf(tenant)).toBe(5_100);
  });

  it("ends with its sums, where those have an end too", async () => {
    const tenant = "retention-sums";
    await insertUsage(env.DB, [rowOf(tenant, 500), rowOf(tenant, 10)]);
    const ask = (sums: number) => expireUsage(env.DB, tenant, { rows: sums, sums });
    expect(await ask(today - 400 * day)).toEqual({ more: false, left: true });
    expect(await requestsOf(tenant)).toBe(1);
    expect(await ask(today)).toEqual({ more: false, left: false });
    expect(await requestsOf(tenant)).toBe(0);
  });

  it("is kept for ever where no number of days is set", () => {
    expect(keptFrom({})).toBe(0);
    expect(keptFrom({ ANABRANCH_USAGE_ROW_DAYS: "7" }, (today + 5) * 1_000)).toBe(today - 6 * day);
    // Rows don't outlive the sums.
    expect(keptFrom({ ANABRANCH_USAGE_DAYS: "3" }, today * 1_000)).toBe(today - 2 * day);
  });
});
