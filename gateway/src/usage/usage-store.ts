// Usage rows in D1: written by the outbox, added up for reports.
import { and, eq, gte, lt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { AnySQLiteColumn } from "drizzle-orm/sqlite-core";
import { usage } from "../db/schema.ts";

/** What is recorded of one request. */
export type UsageRow = typeof usage.$inferInsert;

/** D1 binds at most 100 parameters per query, and a row has 24. */
const rowsPerInsert = 4;
/** The most rows that one call of `insertUsage` takes. */
export const maxRowsPerBatch = rowsPerInsert * 25;

/** Writes rows in one transaction. A row that is already there stays as it is. */
export async function insertUsage(d1: D1Database, rows: readonly UsageRow[]): Promise<void> {
  const db = drizzle(d1);
  const inserts = [];
  for (let at = 0; at < rows.length; at += rowsPerInsert) {
    const some = rows.slice(at, at + rowsPerInsert);
    inserts.push(db.insert(usage).values(some).onConflictDoNothing());
  }
  const [first, ...rest] = inserts;
  if (first) await db.batch([first, ...rest]);
}

export interface UsageFilter {
  tenantId: string;
  /** Seconds since the epoch: from `start`, before `end`. */
  start?: number | undefined;
  end?: number | undefined;
  model?: string | undefined;
  key?: string | undefined;
}

/** Whether the answer had begun, and was cut off. */
const cut = sql`(${usage.status} <> 200 and ${usage.startedMs} is not null)`;

/** The sum over answers that were delivered whole, or over those that were cut off. */
const sumOf = (column: AnySQLiteColumn, whole = true) =>
  whole
    ? sql<number>`coalesce(sum(case when ${usage.status} = 200 then ${column} end), 0)`
    : sql<number>`coalesce(sum(case when ${cut} then ${column} end), 0)`;

/** Whether the model was free to branch, and the classifier had an expectation. */
const predicted = sql`(${usage.status} = 200 and ${usage.mode} = 'parallel' and ${usage.probability} is not null)`;

/**
 * One row per interval of `seconds`, model and key, in that order. Answers that were cut off are counted apart, in
 * the columns that begin with `cut`, and so are requests that never began one.
 */
export function sumUsage(d1: D1Database, seconds: number, filter: UsageFilter) {
  const { tenantId, start, end, model, key } = filter;
  // Literals: D1 binds every number as a real, and this must be an integer division.
  const bucket = sql<number>`(${usage.at} / ${sql.raw(`${seconds * 1_000}`)}) * ${sql.raw(`${seconds}`)}`;
  return drizzle(d1)
    .select({
      start: bucket,
      model: usage.model,
      key: usage.keyId,
      requests: sql<number>`sum(${usage.status} = 200)`,
      prompt_tokens: sumOf(usage.promptTokens),
      completion_tokens: sumOf(usage.completionTokens),
      visible_tokens: sumOf(usage.visibleTokens),
      cached_tokens: sumOf(usage.cachedTokens),
      steps: sumOf(usage.steps),
      stages: sumOf(usage.stages),
      branches: sumOf(usage.branches),
      cost: sumOf(usage.cost),
      cache_hits: sql<number>`sum(${usage.status} = 200 and ${usage.cache} = 'hit')`,
      predictedRequests: sql<number>`sum(${predicted})`,
      predictedParallel: sql<number>`coalesce(sum(case when ${predicted} then ${usage.probability} end), 0)`,
      predictedBranched: sql<number>`coalesce(sum(case when ${predicted} then ${usage.stages} > 0 end), 0)`,
      predictedTokens: sql<number>`coalesce(sum(case when ${predicted} then ${usage.visibleTokens} end), 0)`,
      predictedSteps: sql<number>`coalesce(sum(case when ${predicted} then ${usage.visibleTokens} / ${usage.predictedSpeedup} end), 0)`,
      observedSteps: sql<number>`coalesce(sum(case when ${predicted} then ${usage.steps} end), 0)`,
      cutRequests: sql<number>`sum(${cut})`,
      refused: sql<number>`sum(${usage.status} <> 200 and ${usage.startedMs} is null)`,
      cutPromptTokens: sumOf(usage.promptTokens, false),
      cutCompletionTokens: sumOf(usage.completionTokens, false),
      cutCost: sumOf(usage.cost, false),
    })
    .from(usage)
    .where(
      and(
        eq(usage.tenantId, tenantId),
        start === undefined ? undefined : gte(usage.at, start * 1_000),
        end === undefined ? undefined : lt(usage.at, end * 1_000),
        model === undefined ? undefined : eq(usage.model, model),
        key === undefined ? undefined : eq(usage.keyId, key),
      ),
    )
    .groupBy(bucket, usage.model, usage.keyId)
    .orderBy(bucket, usage.model, usage.keyId);
}
