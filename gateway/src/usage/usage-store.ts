// Usage rows in D1, written by the outbox.
import { drizzle } from "drizzle-orm/d1";
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
