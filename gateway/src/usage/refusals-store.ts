// Refused requests in D1: counts by minute, added to by every isolate.
import { and, eq, gte, lt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { refusals } from "../db/schema.ts";
import type { UsageFilter } from "./usage-store.ts";

export type RefusalRow = typeof refusals.$inferInsert;

/** Adds to what is counted, in one transaction. */
export async function addRefusals(d1: D1Database, rows: readonly RefusalRow[]): Promise<void> {
  const db = drizzle(d1);
  const added = sql`${refusals.requests} + excluded.requests`;
  const [first, ...rest] = rows.map((row) =>
    db
      .insert(refusals)
      .values(row)
      .onConflictDoUpdate({
        target: [
          refusals.tenantId,
          refusals.at,
          refusals.keyId,
          refusals.endpoint,
          refusals.status,
        ],
        set: { requests: added },
      }),
  );
  if (first) await db.batch([first, ...rest]);
}

/** One row per interval of `seconds` and key, in that order. */
export function sumRefusals(
  d1: D1Database,
  seconds: number,
  { tenantId, start, end, key }: UsageFilter,
) {
  // Literals: D1 binds every number as a real, and this must be an integer division.
  const bucket = sql<number>`(${refusals.at} / ${sql.raw(`${seconds * 1_000}`)}) * ${sql.raw(`${seconds}`)}`;
  return drizzle(d1)
    .select({
      start: bucket,
      key: refusals.keyId,
      requests: sql<number>`sum(${refusals.requests})`,
    })
    .from(refusals)
    .where(
      and(
        eq(refusals.tenantId, tenantId),
        start === undefined ? undefined : gte(refusals.at, start * 1_000),
        end === undefined ? undefined : lt(refusals.at, end * 1_000),
        key === undefined ? undefined : eq(refusals.keyId, key),
      ),
    )
    .groupBy(bucket, refusals.keyId)
    .orderBy(bucket, refusals.keyId);
}
