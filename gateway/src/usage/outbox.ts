// Usage rows between the end of a request and D1. They are kept in the tenant's object, so that a slow
// or unreachable D1 delays them but loses none, and written in batches: D1 takes one query at a time.
import { insertUsage, maxRowsPerBatch, type UsageRow } from "./usage-store.ts";

const flushAfterMs = 500;
const maxRetryMs = 60_000;

export class UsageOutbox {
  readonly #storage: DurableObjectStorage;
  readonly #db: D1Database;
  readonly #written: (tenantId: string) => void;
  #failures = 0;
  /** The alarm is known to be set. Asking the storage would cost every request a read. */
  #alarmed = false;
  #flushing: Promise<void> | undefined;

  /** `written` is called with the tenant of rows that D1 has now. */
  constructor(storage: DurableObjectStorage, db: D1Database, written: (tenantId: string) => void) {
    this.#storage = storage;
    this.#db = db;
    this.#written = written;
    storage.sql.exec(`CREATE TABLE IF NOT EXISTS waiting_usage (
      number INTEGER PRIMARY KEY AUTOINCREMENT, usage TEXT NOT NULL)`);
  }

  /** Takes a row, in the caller's transaction. Call `wake` behind it. */
  put(row: UsageRow): void {
    this.#storage.sql.exec("INSERT INTO waiting_usage (usage) VALUES (?)", JSON.stringify(row));
  }

  /** Rows that were put go to D1 in a moment. */
  async wake(): Promise<void> {
    if (this.#alarmed) return;
    this.#alarmed = true;
    try {
      await this.#storage.setAlarm(Date.now() + flushAfterMs);
    } catch (error) {
      this.#alarmed = false;
      throw error;
    }
  }

  /** Two flushes at once would write the same rows twice: the later one waits for the first. */
  async flush(): Promise<void> {
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
      // Alarms stop after a few retries of their own; these rows must not be lost.
      console.error("usage rows were not written; trying again later", error);
      const wait = Math.min(maxRetryMs, 1_000 * 2 ** this.#failures++);
      this.#alarmed = true;
      await this.#storage.setAlarm(Date.now() + wait);
    }
  }

  async #writeAll(): Promise<void> {
    for (;;) {
      const kept = this.#storage.sql
        .exec<{ number: number; usage: string }>(
          "SELECT number, usage FROM waiting_usage ORDER BY number LIMIT ?",
          maxRowsPerBatch,
        )
        .toArray();
      const last = kept.at(-1);
      if (!last) return;
      const rows = kept.map((row): UsageRow => JSON.parse(row.usage));
      // Rows that were written before, and not deleted here, stay as they are in D1.
      await insertUsage(this.#db, rows);
      for (const tenant of new Set(rows.map(({ tenantId }) => tenantId))) this.#written(tenant);
      this.#storage.sql.exec("DELETE FROM waiting_usage WHERE number <= ?", last.number);
    }
  }
}
