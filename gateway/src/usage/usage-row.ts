import type { usage } from "../db/schema.ts";

/** What is recorded of one request. */
export type UsageRow = typeof usage.$inferInsert;
