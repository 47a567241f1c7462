// What reports read: whole periods from the roll-up, the rest from rows. All of it in one shape, whatever it came from.
import { type SQL, sql } from "drizzle-orm";
import { bucketOf } from "./histogram-store.ts";
import { type Segment, segmentsOf } from "./segments.ts";

/** What usage is told apart by, beside time: its name in reports, and its column. */
const dimensions = {
  tenant: "tenant_id",
  key: "key_id",
  model: "model",
  endpoint: "endpoint",
  mode: "mode",
  status: "status",
  cache: "cache",
  worker: "worker",
} as const;
export type Dimension = keyof typeof dimensions;
export const dimensionNames = Object.keys(dimensions) as [Dimension, ...Dimension[]];

/** What is added up, as it is in a row of `usage`; `cost` in millionths of the currency's unit. */
const sums = {
  requests: "1",
  prompt_tokens: "prompt_tokens",
  cached_tokens: "cached_tokens",
  completion_tokens: "completion_tokens",
  visible_tokens: "visible_tokens",
  steps: "steps",
  stages: "stages",
  branches: "branches",
  cost: "cost",
  branched: "stages > 0",
  probability: "coalesce(probability, 0)",
  expected_steps: "coalesce(visible_tokens / predicted_speedup, 0)",
} as const;

export interface Question {
  /** Seconds since the epoch: from `start`, before `end`. */
  start?: number | undefined;
  end?: number | undefined;
  /** Only what has these values. */
  where: Partial<Record<Dimension, string>>;
  by: readonly Dimension[];
  /** Seconds of the intervals that are told apart; null: time is not. */
  interval: number | null;
  /** Minutes east of UTC, where intervals begin. */
  utcOffset: number;
  /** Seconds since the epoch: earlier rows may be gone. */
  rowsFrom: number;
}

/** The last second that a Date can tell. */
const endOfTime = 8_640_000_000_000;

export const groupsOf = ({ interval, by }: Question): string[] => [
  ...(interval === null ? [] : ["start"]),
  ...by,
];

/** The beginning of a time's interval. Literals: D1 binds every number as a real, and divisions are of integers. */
function intervalOf({ interval, utcOffset }: Question, seconds: string): string[] {
  if (interval === null) return [];
  const shift = utcOffset * 60;
  return [`((${seconds} + ${shift}) / ${interval}) * ${interval} - ${shift} AS start`];
}

function segmentsIn(question: Question): SQL {
  const { start = 0, end = endOfTime, interval, utcOffset, rowsFrom } = question;
  const found = segmentsOf({ start, end, interval, shift: utcOffset * 60, rowsFrom });
  // Without one nothing is asked for.
  const all: Segment[] = found.length > 0 ? found : [{ period: 0, start: 0, end: 0 }];
  const values = all.map(({ period, start, end }) => `(${period}, ${start}, ${end})`);
  return sql.raw(`segments(period, since, before) AS (VALUES ${values.join(", ")})`);
}

/** Columns of a row, where they are not called as in `usage`. */
type Columns = Partial<Record<string, string>>;

const inGroups: Columns = { worker: "nullif(worker, '')" };
const inUsage: Columns = {
  started: "started_ms IS NOT NULL",
  predicted: "probability IS NOT NULL",
};
/** What is known of refused requests; all else is as if nothing had run. */
const inRefusals: Columns = {
  ...{ model: "''", mode: "''", cache: "''", worker: "NULL", started: "0", predicted: "0" },
};

/** The beginning of the interval, every dimension, whether an answer began, and whether the classifier expected any. */
const told = (question: Question, seconds: string, columns: Columns): string[] => [
  ...intervalOf(question, seconds),
  ...dimensionNames.map((name) => `${columns[dimensions[name]] ?? dimensions[name]} AS ${name}`),
  ...["started", "predicted"].map((name) => `${columns[name] ?? name} AS ${name}`),
];

function select(
  { where }: Question,
  [columns, from]: [columns: readonly string[], from: string],
  named: Columns = {},
  condition = "true",
): SQL {
  const filters = Object.entries(where).map(([name, value]) => {
    const column = dimensions[name as Dimension];
    return sql` AND ${sql.raw(named[column] ?? column)} = ${value}`;
  });
  return sql`SELECT ${sql.raw(columns.join(", "))} FROM ${sql.raw(from)}
      WHERE ${sql.raw(condition)}${sql.join(filters)}`;
}

/** Whole periods of a table of the roll-up. Each group's are found by its key. */
const periodsOf = (table: "usage_sums" | "usage_times"): string =>
  `segments CROSS JOIN usage_groups AS g CROSS JOIN ${table} AS p
        ON p.group_id = g.group_id AND p.period = segments.period
          AND p.start >= segments.since AND p.start < segments.before`;

/** Rows of the segments without a period: the index has them by tenant, so all tenants' are found one after the other. */
const rowsOf = ({ where }: Question): string =>
  `segments CROSS JOIN usage
        ON at >= segments.since * 1000 AND at < segments.before * 1000 AND segments.period = 0
          ${where.tenant === undefined ? "AND tenant_id IN (SELECT DISTINCT tenant_id FROM usage_groups)" : ""}`;

/**
 * `WITH` clauses that end in the relation `parts`: each has a `start` (unless time is not told apart), the dimensions,
 * `started`, `predicted` and sums. Requests that were refused at once are among them.
 */
export function sumParts(question: Question): SQL {
  const { start, end } = question;
  const rolled = Object.keys(sums).map((name) => `p.${name} AS ${name}`);
  const nothing = Object.keys(sums).map((name) => (name === "requests" ? name : "0"));
  const since = start === undefined ? "" : ` AND at >= ${start * 1_000}`;
  const before = end === undefined ? "" : ` AND at < ${end * 1_000}`;
  return sql`${segmentsIn(question)}, parts AS (
      ${select(question, [[...told(question, "p.start", inGroups), ...rolled], periodsOf("usage_sums")])}
      UNION ALL
      ${select(question, [[...told(question, "at / 1000", inUsage), ...Object.values(sums)], rowsOf(question)])}
      UNION ALL
      ${select(
        question,
        [[...told(question, "at / 1000", inRefusals), ...nothing], "refusals"],
        inRefusals,
        `true${since}${before}`,
      )}
    )`;
}

/**
 * `WITH` clauses that end in the relation `times`: how many whole answers (`n`) of each wanted group took a time of each
 * `bucket`, by `measure`: 0 to the first text, 1 in total.
 */
export function timeParts(question: Question): SQL {
  const groups = [...groupsOf(question), "measure", "bucket"].join(", ");
  const single = (measure: number, column: string) =>
    select(
      question,
      [
        [...told(question, "at / 1000", inUsage), `${measure}`, bucketOf(column), "1"],
        rowsOf(question),
      ],
      {},
      `status = 200 AND ${column} IS NOT NULL`,
    );
  const rolled = [...told(question, "p.start", inGroups), "measure", "bucket", "p.requests AS n"];
  return sql`${segmentsIn(question)}, parts AS (
      ${select(question, [rolled, periodsOf("usage_times")])}
      UNION ALL ${single(0, "first_text_ms")}
      UNION ALL ${single(1, "total_ms")}
    ), times AS (SELECT ${sql.raw(groups)}, sum(n) AS n FROM parts GROUP BY ${sql.raw(groups)})`;
}
