// Usage rows between a request's end and D1: kept in the tenant's own object, so that a slow or
// absent D1 delays them and loses none, and written in batches, since D1 takes one query at a time.
import { drizzle } from "drizzle-orm/d1";
import { usage } from "../db/schema.ts";
import type { UsageRow } from "./usage-row.ts";

const flushAfterMs = 500;
/** Rows that come together are written down together: a write costs about the same for one or many. */
const gatherMs = 50;
const longestRetryMs = 60_000;
/** D1 binds at most 100 parameters a query, and a row has 21. */
const rowsPerInsert = 4;
const insertsPerBatch = 25;

export class UsageOutbox {
  readonly #storage: DurableObjectStorage;
  readonly #db: D1Database;
  #gathered: UsageRow[] = [];
  #keeping: Promise<void> | undefined;
  #failures = 0;
  /** Known to be set: asking for it again would cost every request a look into storage. */
  #alarmed = false;
  #flushing: Promise<void> | undefined;

  constructor(storage: DurableObjectStorage, db: D1Database) {
    this.#storage = storage;
    this.#db = db;
    storage.sql.exec(`CREATE TABLE IF NOT EXISTS waiting_usage (
      number INTEGER PRIMARY KEY AUTOINCREMENT, usage TEXT NOT NULL)`);
  }

  /** Resolves when the row is safe. */
  put(row: UsageRow): Promise<void> {
    this.#gathered.push(row);
    this.#keeping ??= scheduler.wait(gatherMs).then(() => this.#keep());
    return this.#keeping;
  }

  async #keep(): Promise<void> {
    this.#keeping = undefined;
    const rows = this.#gathered.splice(0);
    if (rows.length === 0) return;
    for (const row of rows) {
      this.#storage.sql.exec("INSERT INTO waiting_usage (usage) VALUES (?)", JSON.stringify(row));
    }
    if (this.#alarmed) return;
    this.#alarmed = true;
    await this.#storage.setAlarm(Date.now() + flushAfterMs);
  }

  /** Two flushes at once would write the same rows twice: the later one waits for the first. */
  async flush(): Promise<void> {
    await this.#keep();
    while (this.#flushing) await this.#flushing.catch(() => undefined);
    this.#flushing = this.#writeAll().finally(() => {
      this.#flushing = undefined;
    });
    await this.#flushing;
  }

  async onAlarm(): Promise<void> {
    this.#alarmed = false;
    try {
      await this.flush();
      this.#failures = 0;
    } catch (error) {
      // Alarms give up after some retries of their own; these rows are not to be given up.
      console.error("usage was not written; it will be tried again", error);
      const wait = Math.min(longestRetryMs, 1_000 * 2 ** this.#failures++);
      this.#alarmed = true;
      await this.#storage.setAlarm(Date.now() + wait);
    }
  }

  async #writeAll(): Promise<void> {
    const db = drizzle(this.#db);
    for (;;) {
      const kept = this.#storage.sql
        .exec<{ number: number; usage: string }>(
          "SELECT number, usage FROM waiting_usage ORDER BY number LIMIT ?",
          rowsPerInsert * insertsPerBatch,
        )
        .toArray();
      const rows = kept.map((row): UsageRow => JSON.parse(row.usage));
      const inserts = [];
      for (let at = 0; at < rows.length; at += rowsPerInsert) {
        const some = rows.slice(at, at + rowsPerInsert);
        // A row that was written before, and not deleted here, stays as it is.
        inserts.push(db.insert(usage).values(some).onConflictDoNothing());
      }
      const [first, ...rest] = inserts;
      const last = kept.at(-1);
      if (!first || !last) return;
      await db.batch([first, ...rest]);
      this.#storage.sql.exec("DELETE FROM waiting_usage WHERE number <= ?", last.number);
    }
  }
}
