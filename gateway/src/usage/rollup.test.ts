import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { randomness } from "../../test/randomness.ts";
import { middleOf } from "./histogram-store.ts";
import { addRefusals, type RefusalRow } from "./refusals-store.ts";
import { type ReportRow, reportUsage } from "./report-store.ts";
import { type Dimension, dimensionNames, type Question } from "./rollup-store.ts";
import { insertUsage, type UsageRow } from "./usage-store.ts";

const below = randomness(41);
const one = <T>(values: readonly T[]): T => values[below(values.length)] as T;
const day = 86_400;
const from = Date.UTC(2026, 2, 27) / 1_000;
const days = 5;

/** Some at the very edge of a period. */
const momentMs = () => {
  const ms = (from + below(days * day)) * 1_000 + below(1_000);
  return below(5) === 0 ? Math.round(ms / 900_000) * 900_000 - below(2) : ms;
};

const rows: UsageRow[] = Array.from({ length: 700 }, (_, n) => {
  const status = one([200, 200, 200, 200, 400, 429, 499, 502, 503]);
  const started = status === 200 || below(2) === 0;
  const predicted = below(3) === 0;
  return {
    requestId: `rollup-${n}`,
    ...{ tenantId: one(["a", "b", "c"]), keyId: one(["k1", "k2"]), model: one(["big", "small"]) },
    ...{ endpoint: one(["/v1/chat/completions", "/v1/messages"]), at: momentMs(), status },
    ...{ cache: one(["hit", "miss", "bypass"]), mode: one(["serial", "parallel"]) },
    ...{ stream: below(2) === 0, worker: one(["w0", "w1", null]) },
    ...{ promptTokens: below(5_000), completionTokens: below(900), visibleTokens: below(800) },
    ...{ cachedTokens: below(100), steps: below(700), stages: below(3), branches: below(9) },
    startedMs: started ? below(90) : null,
    firstTextMs: started ? below(10 ** (1 + below(6))) : null,
    totalMs: below(10 ** (1 + below(7))),
    ...{ cost: below(1_000_000), probability: predicted ? 0.25 : null },
    predictedSpeedup: predicted ? 2 : null,
  };
});
const refusals: RefusalRow[] = Array.from({ length: 30 }, (_, n) => ({
  ...{ tenantId: one(["a", "b"]), keyId: "k1", endpoint: "/v1/responses", status: one([400, 429]) },
  ...{ at: (from + n * 7_260) * 1_000 - ((from + n * 7_260) % 60) * 1_000, requests: 1 + below(9) },
}));

beforeAll(async () => {
  for (let at = 0; at < rows.length; at += 100) await insertUsage(env.DB, rows.slice(at, at + 100));
  await addRefusals(env.DB, refusals);
});

/** A row as reports see it. */
interface Told extends Record<Dimension, string | number | null> {
  at: number;
  n: number;
  row: UsageRow | null;
}
const told = (): Told[] => [
  ...rows.map((row) => ({
    ...{ tenant: row.tenantId, key: row.keyId, model: row.model, endpoint: row.endpoint },
    ...{ mode: row.mode, status: row.status, cache: row.cache, worker: row.worker ?? null },
    ...{ at: row.at, n: 1, row },
  })),
  ...refusals.map((refusal) => ({
    ...{ tenant: refusal.tenantId, key: refusal.keyId, model: "", endpoint: refusal.endpoint },
    ...{ mode: "", status: refusal.status, cache: "", worker: null },
    ...{ at: refusal.at, n: refusal.requests, row: null },
  })),
];

function percentile(values: readonly number[], share: number): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted.find((_, index) => index + 1 >= share * sorted.length) ?? null;
}

/** The same report, from rows alone and by other means: exact percentiles. */
function expected(question: Question): ReportRow[] {
  const { start = 0, end = Number.POSITIVE_INFINITY, where, by, interval, utcOffset } = question;
  const groups = new Map<string, { values: ReportRow; all: Told[] }>();
  for (const each of told()) {
    const seconds = Math.floor(each.at / 1_000);
    if (each.at < start * 1_000 || each.at >= end * 1_000) continue;
    if (
      Object.entries(where).some(
        ([name, value]) => `${each[name as Dimension] ?? "none"}` !== value,
      )
    ) {
      continue;
    }
    const shift = utcOffset * 60;
    const values: ReportRow = {
      ...(interval && { start: Math.floor((seconds + shift) / interval) * interval - shift }),
      ...Object.fromEntries(by.map((name) => [name, each[name]])),
    };
    const name = JSON.stringify(values);
    const group = groups.get(name) ?? { values, all: [] };
    group.all.push(each);
    groups.set(name, group);
  }
  if (interval === null && by.length === 0 && groups.size === 0) {
    groups.set("", { values: {}, all: [] });
  }
  return [...groups.values()].map(({ values, all }) => {
    const count = (which: (each: Told) => boolean) =>
      all.reduce((sum, each) => sum + (which(each) ? each.n : 0), 0);
    const sum = (of: (row: UsageRow) => number) =>
      all.reduce((sum, { row }) => sum + (row ? of(row) : 0), 0);
    const times = (of: (row: UsageRow) => number | null | undefined, share: number) =>
      percentile(
        all.flatMap(({ row }) => (row?.status === 200 ? (of(row) ?? []) : [])),
        share,
      );
    const status = (each: Told) => Number(each.status);
    return {
      ...values,
      requests: count(() => true),
      succeeded: count((each) => status(each) === 200),
      abandoned: count((each) => status(each) === 499),
      refused: count((each) => status(each) >= 400 && status(each) < 499),
      failed: count((each) => status(each) >= 500),
      cache_hits: count(({ cache }) => cache === "hit"),
      prompt_tokens: sum(({ promptTokens }) => promptTokens),
      cached_tokens: sum(({ cachedTokens }) => cachedTokens),
      completion_tokens: sum(({ completionTokens }) => completionTokens),
      visible_tokens: sum(({ visibleTokens }) => visibleTokens),
      steps: sum(({ steps }) => steps),
      stages: sum(({ stages }) => stages),
      branches: sum(({ branches }) => branches),
      cost: sum(({ cost = 0 }) => cost),
      ...Object.fromEntries(
        [0.5, 0.95, 0.99].flatMap((share) => [
          [`first_text_ms_p${share * 100}`, times(({ firstTextMs }) => firstTextMs, share)],
          [`total_ms_p${share * 100}`, times(({ totalMs }) => totalMs, share)],
        ]),
      ),
    };
  });
}

/** The same groups with the same sums; percentiles within the error of the histogram. */
function expectSame(found: readonly ReportRow[], wanted: readonly ReportRow[], groups: string[]) {
  const nameOf = (row: ReportRow) => JSON.stringify(groups.map((group) => row[group]));
  const byName = new Map(wanted.map((row) => [nameOf(row), row]));
  expect(found.map(nameOf).toSorted()).toEqual([...byName.keys()].toSorted());
  for (const row of found) {
    for (const [name, value] of Object.entries(byName.get(nameOf(row)) ?? {})) {
      const isTime = name.includes("_ms_p") && value !== null;
      if (!isTime) expect(row[name], `${name} of ${nameOf(row)}`).toEqual(value);
      else {
        const error = Math.abs(Number(row[name]) - Number(value));
        expect(error, `${name} of ${nameOf(row)}`).toBeLessThanOrEqual(Number(value) / 16);
      }
    }
  }
}

const everything: Question = { where: {}, by: [], interval: null, utcOffset: 0, rowsFrom: 0 };

function randomQuestion(): Question {
  const start = below(4) === 0 ? undefined : from + below(days * day);
  const length = one([60, 900, 3_600, day, 3 * day]) + below(1_000);
  const where = Object.fromEntries(
    dimensionNames
      .filter(() => below(12) === 0)
      .map((name) => [name, String(one(told())[name] ?? "w1")]),
  );
  return {
    ...{ start, end: below(4) === 0 ? undefined : (start ?? from) + length, where },
    by: dimensionNames.filter(() => below(5) === 0),
    interval: one([null, 3_600, day]),
    utcOffset: one([0, 60, -210, 330, 345, -720, 840, 7]),
    rowsFrom: 0,
  };
}

describe("a report over the roll-up", () => {
  it("is what the rows say, whatever is asked", async () => {
    for (let count = 0; count < 150; count++) {
      const question = randomQuestion();
      const found = await reportUsage(env.DB, question, 10_000);
      const groups = [...(question.interval === null ? [] : ["start"]), ...question.by];
      expectSame(found, expected(question), groups);
    }
  });

  it("counts no row twice, also when rows are written again", async () => {
    const before = await reportUsage(env.DB, everything, 10);
    await insertUsage(env.DB, rows.slice(0, 100));
    expect(await reportUsage(env.DB, everything, 10)).toEqual(before);
    // Of some rows that are new and some that are not, one of them wrong, none are written.
    const [first, second] = rows;
    if (!first || !second) throw new Error("there are no rows");
    const wrong = { ...second, requestId: "rollup-wrong", model: null as unknown as string };
    await expect(
      insertUsage(env.DB, [{ ...first, requestId: "rollup-new" }, first, wrong]),
    ).rejects.toThrow();
    expect(await reportUsage(env.DB, everything, 10)).toEqual(before);
  });

  it("outlives the rows: whole days and quarters stay, and an edge counts its quarter whole", async () => {
    const questions = Array.from({ length: 40 }, randomQuestion).map((question) => ({
      ...question,
      start: question.start && Math.floor(question.start / 900) * 900,
      end: question.end && Math.floor(question.end / 900) * 900,
      utcOffset: question.utcOffset === 7 ? 345 : question.utcOffset,
      rowsFrom: from + days * day + 900,
    }));
    const ask = () =>
      Promise.all(questions.map((question) => reportUsage(env.DB, question, 10_000)));
    const before = await ask();
    const within = { ...everything, rowsFrom: from + days * day + 900 };
    const odd = { ...within, start: from + 1_000, end: from + day + 17 };
    const whole = { ...within, start: from + 900, end: from + day + 900 };
    await env.DB.prepare("DELETE FROM usage WHERE at < ?")
      .bind((from + days * day + 1) * 1_000)
      .run();
    expect(await ask()).toEqual(before);
    const refused = (rows: ReportRow[]) => Number(rows[0]?.requests) - Number(rows[0]?.refused);
    expect(refused(await reportUsage(env.DB, odd, 10))).toBe(
      refused(await reportUsage(env.DB, whole, 10)),
    );
  });

  it("has the middle of a time's bucket within a 16th", () => {
    for (let ms = 0; ms < 5_000; ms++) {
      const bits = Math.floor(Math.log2(Math.max(1, ms))) + 1;
      const bucket = ms - (ms % 2 ** Math.max(0, bits - 4));
      expect(Math.abs(middleOf(bucket) - ms)).toBeLessThanOrEqual(ms / 16);
    }
  });
});
