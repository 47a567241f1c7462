// The operator's report over usage rows: groups, sums and percentiles.
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { usage } from "../db/schema.ts";

/** What a report adds up of a request; `cost` in millionths of the currency's unit. */
const sums = [
  ...["prompt_tokens", "cached_tokens", "completion_tokens", "visible_tokens"],
  ...["steps", "stages", "branches", "cost"],
];
const names = [
  ...["tenant_id", "key_id", "model", "endpoint", "mode", "status", "cache", "worker", "at"],
  ...["first_text_ms", "total_ms", ...sums],
];
/** What is known of refused requests; all else is as if nothing had run. */
const ofRefusals: Record<string, string> = {
  ...{ tenant_id: "tenant_id", key_id: "key_id", endpoint: "endpoint", status: "status", at: "at" },
  ...{ model: "''", mode: "''", cache: "''", worker: "NULL", first_text_ms: "NULL" },
};
const everything = `(
      SELECT ${names.join(", ")}, 1 AS n FROM usage
      UNION ALL SELECT ${names.map((name) => ofRefusals[name] ?? "0").join(", ")}, requests FROM refusals
    )`;

/** What a report can tell apart, beside time. */
const dimensions = {
  tenant: usage.tenantId,
  key: usage.keyId,
  model: usage.model,
  endpoint: usage.endpoint,
  mode: usage.mode,
  status: usage.status,
  cache: usage.cache,
  worker: usage.worker,
} as const;
export type Dimension = keyof typeof dimensions;
export const dimensionNames = Object.keys(dimensions) as [Dimension, ...Dimension[]];

export interface ReportOptions {
  /** Seconds since the epoch: from `start`, before `end`. */
  start?: number | undefined;
  end?: number | undefined;
  /** Only rows with these values. */
  where: Partial<Record<Dimension, string>>;
  by: readonly Dimension[];
  /** Seconds of an interval; null: time is not told apart. */
  interval: number | null;
  /** Minutes east of UTC, where days begin at midnight. */
  utcOffset: number;
  /** Rows at most. */
  limit: number;
}

/** The value below which a share of the group's rows lie, by their rank within the group. */
const percentile = (column: string, rank: string, n: string, share: number) =>
  sql.raw(`min(case when ${rank} >= ${share} * ${n} then ${column} end)`);

/**
 * Requests of all tenants, refused ones too, in groups that differ in time or in a dimension.
 * Percentiles are of answers that were delivered whole (status 200), in ms.
 */
export async function reportUsage(
  d1: D1Database,
  { by, interval, utcOffset, limit, start, end, where }: ReportOptions,
): Promise<Record<string, number | string | null>[]> {
  const shift = utcOffset * 60;
  // Literals: D1 binds every number as a real, and this must be an integer division.
  const bucket =
    interval === null
      ? []
      : [sql.raw(`((at / 1000 + ${shift}) / ${interval}) * ${interval} - ${shift} AS start`)];
  const columns = by
    .filter((name) => dimensions[name].name !== name)
    .map((name) => sql.raw(`${dimensions[name].name} AS ${name}`));
  const groups = [...(interval === null ? [] : ["start"]), ...by];
  const partition = sql.raw(
    groups.length > 0 ? `PARTITION BY ${groups.join(", ")}, whole` : "PARTITION BY whole",
  );
  const conditions = [
    start === undefined ? [] : [sql`at >= ${start * 1_000}`],
    end === undefined ? [] : [sql`at < ${end * 1_000}`],
    ...Object.entries(where).map(([name, value]) => [
      sql`${sql.raw(dimensions[name as Dimension].name)} = ${value}`,
    ]),
  ].flat();
  const chosen = conditions.length > 0 ? sql`WHERE ${sql.join(conditions, sql` AND `)}` : sql``;
  const total = (column: string) => sql.raw(`sum(${column}) AS ${column}`);
  const query = sql`
    WITH rows AS (
      SELECT ${sql.join([sql.raw("*, status = 200 AS whole"), ...bucket, ...columns], sql`, `)}
      FROM ${sql.raw(everything)} ${chosen}
    ), ranked AS (
      SELECT *,
        count(first_text_ms) OVER (${partition}) AS first_n,
        row_number() OVER (${partition} ORDER BY first_text_ms NULLS LAST) AS first_rank,
        count(*) OVER (${partition}) AS total_n,
        row_number() OVER (${partition} ORDER BY total_ms) AS total_rank
      FROM rows
    )
    SELECT ${sql.join(
      [
        ...groups.map((name) => sql.raw(name)),
        sql.raw("sum(n) AS requests"),
        sql.raw("sum(n * (status = 200)) AS succeeded"),
        sql.raw("sum(n * (status = 499)) AS abandoned"),
        sql.raw("sum(n * (status BETWEEN 400 AND 498)) AS refused"),
        sql.raw("sum(n * (status >= 500)) AS failed"),
        sql.raw("sum(cache = 'hit') AS cache_hits"),
        ...sums.map(total),
        ...[0.5, 0.95, 0.99].flatMap((share) => [
          sql`${percentile("case when whole then first_text_ms end", "first_rank", "first_n", share)} AS ${sql.raw(`first_text_ms_p${share * 100}`)}`,
          sql`${percentile("case when whole then total_ms end", "total_rank", "total_n", share)} AS ${sql.raw(`total_ms_p${share * 100}`)}`,
        ]),
      ],
      sql`, `,
    )}
    FROM ranked
    ${groups.length > 0 ? sql.raw(`GROUP BY ${groups.join(", ")} ORDER BY ${groups.join(", ")}`) : sql``}
    LIMIT ${sql.raw(`${limit}`)}`;
  return await drizzle(d1).all<Record<string, number | string | null>>(query);
}
