// Usage in D1: rows, written by the outbox and deleted when they are old. A trigger rolls them up.
import { and, eq, inArray, lt, notInArray, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { refusals, usage, usageGroups, usageSums, usageTimes } from "../db/schema.ts";
import { periods } from "./segments.ts";

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

/** Rows and sums from before these times go: seconds since the epoch. */
export interface Cutoffs {
  rows: number;
  sums: number;
}

/** Rows that one call of `expireUsage` deletes at most: D1 does one thing at a time. */
const maxExpired = 5_000;

/** Deletes what a tenant has from before these times, and says whether there is more of that, and whether anything is left. */
export async function expireUsage(
  d1: D1Database,
  tenantId: string,
  { rows, sums }: Cutoffs,
): Promise<{ more: boolean; left: boolean }> {
  const db = drizzle(d1);
  const old = and(eq(usage.tenantId, tenantId), lt(usage.at, rows * 1_000));
  const some = db.select({ id: usage.requestId }).from(usage).where(old).limit(maxExpired);
  const groups = db
    .select({ id: usageGroups.groupId })
    .from(usageGroups)
    .where(eq(usageGroups.tenantId, tenantId));
  const ofOld = (table: typeof usageSums | typeof usageTimes) =>
    and(inArray(table.groupId, groups), inArray(table.period, [...periods]), lt(table.start, sums));
  const summed = db
    .select({ id: usageSums.groupId })
    .from(usageSums)
    .where(inArray(usageSums.groupId, groups));
  const [deleted, , , , , [left]] = await db.batch([
    db.delete(usage).where(inArray(usage.requestId, some)),
    db.delete(usageTimes).where(ofOld(usageTimes)),
    db.delete(usageSums).where(ofOld(usageSums)),
    db.delete(refusals).where(and(eq(refusals.tenantId, tenantId), lt(refusals.at, sums * 1_000))),
    db
      .delete(usageGroups)
      .where(and(eq(usageGroups.tenantId, tenantId), notInArray(usageGroups.groupId, summed))),
    db
      .select({ n: sql<number>`count(*)` })
      .from(usageGroups)
      .where(eq(usageGroups.tenantId, tenantId)),
  ]);
  return { more: deleted.meta.changes === maxExpired, left: (left?.n ?? 0) > 0 };
}
