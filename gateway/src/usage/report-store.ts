// Reports over usage, for operators and for tenants.
import { middleOf } from "./histogram-store.ts";
import {
  percentiles,
  reportStatements,
  type tenantColumns,
  tenantStatement,
} from "./report-statements-store.ts";
import { groupsOf, type Question } from "./rollup-store.ts";

export type ReportRow = Record<string, number | string | null>;

/**
 * Requests, refused ones too, in groups that differ in time or in a dimension; `limit` rows at most, by group,
 * after the first `offset`.
 * Percentiles are of answers that were delivered whole (status 200), in ms, as exact as the histogram.
 */
export async function reportUsage(
  d1: D1Database,
  question: Question,
  limit: number,
  offset = 0,
): Promise<ReportRow[]> {
  const statements = reportStatements(question, limit, offset).map(({ sql, params }) =>
    d1.prepare(sql).bind(...params),
  );
  const [rows = [], times = []] = (await d1.batch<ReportRow>(statements)).map(
    ({ results }) => results,
  );
  const groups = groupsOf(question);
  const nameOf = (row: ReportRow) => JSON.stringify(groups.map((group) => row[group]));
  const timesByGroup = new Map(times.map((row) => [nameOf(row), row]));
  return rows.map((row) => {
    const found = timesByGroup.get(nameOf(row));
    const shown = percentiles.map(({ name }) => {
      const bucket = found?.[name] ?? null;
      return [name, bucket === null ? null : middleOf(Number(bucket))];
    });
    return { ...row, ...Object.fromEntries(shown) };
  });
}

export type UsageSums = { start: number; model: string; key: string } & Record<
  keyof typeof tenantColumns,
  number
>;

/**
 * What a tenant used: one row per interval, model and key, in that order. Answers that were cut off are counted apart, in
 * the columns that begin with `cut`, and so are requests that never began one.
 */
export async function sumUsage(
  d1: D1Database,
  question: Omit<Question, "by">,
): Promise<UsageSums[]> {
  const { sql, params } = tenantStatement(question);
  return (
    await d1
      .prepare(sql)
      .bind(...params)
      .all<UsageSums>()
  ).results;
}
