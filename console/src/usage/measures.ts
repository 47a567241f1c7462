// What the usage charts show, from rows of /admin/v1/usage.
import { bucketsOf, type Interval } from "./interval.ts";

export type Row = Record<string, string | number | null>;

export interface Measure {
  title: string;
  hint?: string;
  /** null: nothing to say, such as a time without an answer. */
  of: (row: Row) => number | null;
  /** What an hour or day without rows has. */
  none: number | null;
  digits: number;
}

const number = (row: Row, name: string): number => Number(row[name] ?? 0);
const orNull = (row: Row, name: string): number | null =>
  row[name] === null || row[name] === undefined ? null : Number(row[name]);
const share = (part: number, of: number): number | null => (of === 0 ? null : part / of);

export const percentiles = ["p50", "p95", "p99"] as const;
export type Percentile = (typeof percentiles)[number];

/** `currency`: of `cost`; null: nothing has a price. */
export const measuresAt = (percentile: Percentile, currency: string | null): Measure[] => [
  { title: "Requests", of: (row) => number(row, "requests"), none: 0, digits: 0 },
  {
    title: "Tokens",
    hint: "in and out",
    of: (row) => number(row, "prompt_tokens") + number(row, "completion_tokens"),
    none: 0,
    digits: 0,
  },
  {
    title: "First text",
    hint: `ms, ${percentile}`,
    of: (row) => orNull(row, `first_text_ms_${percentile}`),
    none: null,
    digits: 0,
  },
  {
    title: "Total time",
    hint: `ms, ${percentile}`,
    of: (row) => orNull(row, `total_ms_${percentile}`),
    none: null,
    digits: 0,
  },
  {
    title: "Speed-up",
    hint: "tokens a step",
    of: (row) => share(number(row, "visible_tokens"), number(row, "steps")),
    none: null,
    digits: 2,
  },
  { title: "Branches", of: (row) => number(row, "branches"), none: 0, digits: 0 },
  {
    title: "Cache hits",
    of: (row) => number(row, "cache_hits"),
    none: 0,
    digits: 0,
  },
  {
    title: "Errors",
    hint: "refused or failed",
    of: (row) => number(row, "refused") + number(row, "failed"),
    none: 0,
    digits: 0,
  },
  ...(currency === null
    ? []
    : [
        {
          ...{ title: "Cost", hint: currency, none: 0, digits: 6 },
          of: (row: Row) => number(row, "cost"),
        },
      ]),
];

/** Groups that get a line of their own: those with the most requests. */
export const mostGroups = 6;

/** Names of the groups, the one with the most requests first. */
export function groupsOf(rows: readonly Row[], by: string | null): string[] {
  if (by === null) return ["all"];
  const requests = new Map<string, number>();
  for (const row of rows) {
    const name = String(row[by] ?? "none");
    requests.set(name, (requests.get(name) ?? 0) + number(row, "requests"));
  }
  return [...requests].sort(([, a], [, b]) => b - a).map(([name]) => name);
}

/** Times in seconds, then a column for each group. */
export type Columns = [times: number[], ...values: (number | null)[][]];

export function columnsOf(
  rows: readonly Row[],
  { of, none }: Measure,
  interval: Interval,
  by: string | null,
  groups: readonly string[],
): Columns {
  const times = bucketsOf(interval);
  const at = new Map(times.map((time, index) => [time, index]));
  const columns = groups.map(() => new Array<number | null>(times.length).fill(none));
  for (const row of rows) {
    const column = columns[groups.indexOf(by === null ? "all" : String(row[by] ?? "none"))];
    const index = at.get(Number(row.start));
    if (column && index !== undefined) column[index] = of(row);
  }
  return [times, ...columns];
}
