// What reports read: whole periods from the roll-up, the rest from rows. All of it in one shape, whatever it came from.
import { type SQL, sql } from "drizzle-orm";
import { bucketOf } from "./histogram-store.ts";
import { moved, periods, type Segment, segmentsOf } from "./segments.ts";

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

function segmentsFor(question: Question): Segment[] {
  const { start = 0, end = endOfTime, interval, utcOffset, rowsFrom } = question;
  return segmentsOf({ start, end, interval, shift: utcOffset * 60, rowsFrom });
}

function segmentsIn(question: Question): SQL {
  const found = segmentsFor(question);
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

const [day, quarter] = periods;
const movedIn = ({ interval, utcOffset }: Question) => moved({ interval, shift: utcOffset * 60 });

/** When a period counts: days of UTC may count to another day than the one that they begin in. */
const timeOf = (question: Question): string =>
  `p.start + ${movedIn(question)?.anchor ?? 0} * (p.period = ${day})`;

/** Sums of whole periods: those of each group are found by its key. */
const summedPeriods = (question: Question, names: readonly string[]): SQL =>
  select(question, [
    [
      ...told(question, `(${timeOf(question)})`, inGroups),
      ...names.map((name) => `p.${name} AS ${name}`),
    ],
    `segments CROSS JOIN usage_groups AS g CROSS JOIN usage_sums AS p
        ON p.group_id = g.group_id AND p.period = segments.period
          AND p.start >= segments.since AND p.start < segments.before`,
  ]);

/** Sums of quarters that belong to another day of the zone than their day of UTC: taken from one, added to the other. */
function movedSums(question: Question, names: readonly string[]): SQL {
  const moves = movedIn(question);
  if (!moves) return sql``;
  const { anchor, from, to } = moves;
  const time = `(CASE weight WHEN 1 THEN p.start ELSE d.start + ${anchor} END)`;
  return sql` UNION ALL ${select(question, [
    [...told(question, time, inGroups), ...names.map((name) => `p.${name} * weight`)],
    `segments CROSS JOIN usage_groups AS g CROSS JOIN usage_sums AS d
        ON segments.period = ${day} AND d.group_id = g.group_id AND d.period = ${day}
          AND d.start >= segments.since AND d.start < segments.before
      CROSS JOIN usage_sums AS p ON p.group_id = d.group_id AND p.period = ${quarter}
          AND p.start >= d.start + ${from} AND p.start < d.start + ${to}
      CROSS JOIN (SELECT 1 AS weight UNION ALL SELECT -1)`,
  ])}`;
}

/**
 * Histograms of the periods that `condition` chooses. Without dimensions they add up in the order of their key, which is what
 * keeps this fast.
 */
function histograms(question: Question, condition: string): SQL {
  const { where, by } = question;
  const names = by.map((name) => `${inGroups[dimensions[name]] ?? dimensions[name]} AS ${name}`);
  const grouped = Object.keys(where).length > 0 || by.length > 0;
  const from = `usage_times AS p${grouped ? " CROSS JOIN usage_groups AS g ON g.group_id = p.group_id" : ""}`;
  const columns = ["p.period", "p.start", ...names, "measure", "bucket", "sum(p.requests) AS n"];
  return sql`(${select(question, [columns, from], inGroups, condition)}
        GROUP BY ${sql.raw(["p.start", "p.measure", "p.bucket", ...by].join(", "))}) AS p`;
}

/** Relations with the histograms of whole periods, and with those of the quarters that move as in `movedSums`. */
function histogramParts(question: Question): SQL[] {
  const told = (time: string, n: string) =>
    sql.raw([...intervalOf(question, time), ...question.by, "measure", "bucket", n].join(", "));
  const rolled = segmentsFor(question).filter(({ period }) => period > 0);
  const inSegment = ({ start, end }: Segment) => `p.start >= ${start} AND p.start < ${end}`;
  const whole = rolled.map((segment) => {
    const chosen = histograms(question, `p.period = ${segment.period} AND ${inSegment(segment)}`);
    return sql`SELECT ${told(`(${timeOf(question)})`, "n")} FROM ${chosen}`;
  });
  const moves = movedIn(question);
  const moved = rolled.flatMap((segment) => {
    if (!moves || segment.period !== day) return [];
    const { anchor, from, to } = moves;
    const ofDay = `p.start % ${day} >= ${from} AND p.start % ${day} < ${to}`;
    const chosen = histograms(
      question,
      `p.period = ${quarter} AND ${inSegment(segment)} AND ${ofDay}`,
    );
    const time = `(CASE weight WHEN 1 THEN p.start ELSE p.start / ${day} * ${day} + ${anchor} END)`;
    return [
      sql`SELECT ${told(time, "n * weight AS n")}
        FROM ${chosen} CROSS JOIN (SELECT 1 AS weight UNION ALL SELECT -1)`,
    ];
  });
  return [whole, moved]
    .filter((each) => each.length > 0)
    .map((each) => sql.join(each, sql` UNION ALL `));
}

/** Rows of the segments without a period: the index has them by tenant, so all tenants' are found one after the other. */
const rowsOf = ({ where }: Question): string =>
  `segments CROSS JOIN usage INDEXED BY usage_by_tenant_and_time
        ON at >= segments.since * 1000 AND at < segments.before * 1000 AND segments.period = 0
          ${where.tenant === undefined ? "AND tenant_id IN (SELECT DISTINCT tenant_id FROM usage_groups)" : ""}`;

/**
 * `WITH` clauses that end in the relation `parts`: each has a `start` (unless time is not told apart), the dimensions,
 * `started`, `predicted` and sums. Requests that were refused at once are among them.
 */
export function sumParts(question: Question): SQL {
  const { start, end } = question;
  const names = Object.keys(sums);
  const nothing = names.map((name) => (name === "requests" ? name : "0"));
  const since = start === undefined ? "" : ` AND at >= ${start * 1_000}`;
  const before = end === undefined ? "" : ` AND at < ${end * 1_000}`;
  return sql`${segmentsIn(question)}, parts AS (
      ${summedPeriods(question, names)} ${movedSums(question, names)}
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
        [
          ...intervalOf(question, "at / 1000"),
          ...question.by.map((name) => `${dimensions[name]} AS ${name}`),
          ...[`${measure} AS measure`, `${bucketOf(column)} AS bucket`, "1 AS n"],
        ],
        rowsOf(question),
      ],
      {},
      `status = 200 AND ${column} IS NOT NULL`,
    );
  // D1 takes five parts of a compound: each kind is a relation of its own.
  const kinds = [...histogramParts(question), single(0, "first_text_ms"), single(1, "total_ms")];
  const relations = kinds.map((kind, index) => sql`${sql.raw(`kind_${index}`)} AS (${kind})`);
  const parts = kinds.map((_, index) => `SELECT * FROM kind_${index}`).join(" UNION ALL ");
  return sql`${segmentsIn(question)}, ${sql.join(relations, sql`, `)},
    times AS (SELECT ${sql.raw(groups)}, sum(n) AS n FROM (${sql.raw(parts)})
      GROUP BY ${sql.raw(groups)} HAVING sum(n) > 0)`;
}
