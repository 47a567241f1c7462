// The statements of reports over usage: the operator's sums and percentiles, and a tenant's sums.
import { type SQL, sql } from "drizzle-orm";
import { SQLiteSyncDialect } from "drizzle-orm/sqlite-core";
import { groupsOf, type Question, sumParts, timeParts } from "./rollup-store.ts";

const sums = [
  ...["prompt_tokens", "cached_tokens", "completion_tokens", "visible_tokens"],
  ...["steps", "stages", "branches", "cost"],
];

const measures = ["first_text_ms", "total_ms"];
export const percentiles = [0.5, 0.95, 0.99].flatMap((share) =>
  measures.map((measure, index) => ({ name: `${measure}_p${share * 100}`, share, index })),
);

/** Which rows of a report, by group: `limit` of them after the first `offset`. */
export interface Page {
  limit: number;
  offset: number;
}

/** `GROUP BY`, `ORDER BY` and `LIMIT`. A report without groups has one row, and a group that nothing is left of has none. */
const grouped = (groups: readonly string[], counted: string, { limit, offset }: Page) =>
  sql.raw(
    `${groups.length > 0 ? `GROUP BY ${groups.join(", ")} HAVING ${counted} > 0 ORDER BY ${groups.join(", ")}` : ""} LIMIT ${limit} OFFSET ${offset}`,
  );

const listed = (columns: readonly string[]) => sql.raw(columns.join(", "));

const sumsQuery = (question: Question, page: Page) => {
  const groups = groupsOf(question);
  return sql`WITH ${sumParts(question)}
    SELECT ${listed([
      ...groups,
      "coalesce(sum(requests), 0) AS requests",
      ...Object.entries({
        succeeded: "status = 200",
        abandoned: "status = 499",
        refused: "status BETWEEN 400 AND 498",
        failed: "status >= 500",
        cache_hits: "cache = 'hit'",
      }).map(([name, which]) => `coalesce(sum(requests * (${which})), 0) AS ${name}`),
      ...sums.map((name) => `coalesce(sum(${name}), 0) AS ${name}`),
    ])}
    FROM parts ${grouped(groups, "sum(requests)", page)}`;
};

/**
 * The lowest bucket of each group and measure that a share of its answers does not exceed. Groups without answers have
 * no row, so a page's groups are among the first ones up to its end.
 */
const percentilesQuery = (question: Question, { limit, offset }: Page) => {
  const groups = groupsOf(question);
  const partition = `PARTITION BY ${[...groups, "measure"].join(", ")}`;
  return sql`WITH ${timeParts(question)}, ranked AS (
      SELECT *, sum(n) OVER (${sql.raw(partition)} ORDER BY bucket) AS rank,
        sum(n) OVER (${sql.raw(partition)}) AS total
      FROM times
    )
    SELECT ${listed([
      ...groups,
      ...percentiles.map(
        ({ name, share, index }) =>
          `min(CASE WHEN measure = ${index} AND rank >= ${share} * total THEN bucket END) AS ${name}`,
      ),
    ])}
    FROM ranked ${grouped(groups, "count(*)", { limit: offset + limit, offset: 0 })}`;
};

const dialect = new SQLiteSyncDialect();
const statement = (query: SQL) => dialect.sqlToQuery(query);

/** The two statements of a report, with what is bound to them: its sums, and its percentiles. */
export const reportStatements = (question: Question, limit: number, offset = 0) =>
  [sumsQuery, percentilesQuery].map((query) => statement(query(question, { limit, offset })));

/** The sum of a column over answers that were delivered whole, over those that were cut off, and over predicted ones. */
const when = (condition: string, column: string) =>
  `coalesce(sum(CASE WHEN ${condition} THEN ${column} END), 0)`;
const whole = "status = 200";
const cut = "status <> 200 AND started";
/** The model was free to branch, and the classifier had an expectation. */
const predicted = "status = 200 AND mode = 'parallel' AND predicted";

export const tenantColumns = {
  requests: when(whole, "requests"),
  prompt_tokens: when(whole, "prompt_tokens"),
  completion_tokens: when(whole, "completion_tokens"),
  visible_tokens: when(whole, "visible_tokens"),
  cached_tokens: when(whole, "cached_tokens"),
  steps: when(whole, "steps"),
  stages: when(whole, "stages"),
  branches: when(whole, "branches"),
  cost: when(whole, "cost"),
  cache_hits: when(`${whole} AND cache = 'hit'`, "requests"),
  predictedRequests: when(predicted, "requests"),
  predictedParallel: when(predicted, "probability"),
  predictedBranched: when(predicted, "branched"),
  predictedTokens: when(predicted, "visible_tokens"),
  predictedSteps: when(predicted, "expected_steps"),
  observedSteps: when(predicted, "steps"),
  cutRequests: when(cut, "requests"),
  cutPromptTokens: when(cut, "prompt_tokens"),
  cutCompletionTokens: when(cut, "completion_tokens"),
  cutCost: when(cut, "cost"),
  refused: when("status <> 200 AND NOT started", "requests"),
} as const;

/** A tenant's report: a row for each interval, model and key, with all of `tenantColumns`. */
export function tenantStatement(question: Omit<Question, "by">) {
  const asked: Question = { ...question, by: ["model", "key"] };
  const groups = groupsOf(asked).join(", ");
  const shown = Object.entries(tenantColumns).map(([name, value]) => `${value} AS ${name}`);
  return statement(sql`WITH ${sumParts(asked)}
    SELECT ${listed([groups, ...shown])}
    FROM parts GROUP BY ${sql.raw(groups)} HAVING sum(requests) > 0 ORDER BY ${sql.raw(groups)}`);
}
