// Refused requests in D1: counts by minute, added to by every isolate.
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { refusals } from "../db/schema.ts";

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
