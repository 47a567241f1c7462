// One object per tenant with its cached answers. Another tenant's entries can't even be addressed from
// here, an entry is visible to every location as soon as it is written (KV takes a minute, the Cache API
// never shares), and D1's single thread stays free.
import { DurableObject } from "cloudflare:workers";

/** Larger logs are not cached: a row of an object holds at most 2 MB. */
export const maxEntryBytes = 1_000_000;
const capacityBytes = 64_000_000;
const lifetimeMs = 24 * 3_600_000;

export class AnswersObject extends DurableObject {
  readonly #sql: SqlStorage;

  constructor(state: DurableObjectState, env: Cloudflare.Env) {
    super(state, env);
    this.#sql = state.storage.sql;
    this.#sql.exec(`CREATE TABLE IF NOT EXISTS answers (
      key TEXT PRIMARY KEY, log BLOB NOT NULL, bytes INTEGER NOT NULL, expires INTEGER NOT NULL)`);
    this.#sql.exec("CREATE INDEX IF NOT EXISTS answers_by_expiry ON answers (expires)");
  }

  read(key: string): ArrayBuffer | null {
    const [row] = this.#sql.exec<{ log: ArrayBuffer }>(
      "SELECT log FROM answers WHERE key = ? AND expires > ?",
      key,
      Date.now(),
    );
    return row?.log ?? null;
  }

  async write(key: string, log: ArrayBuffer): Promise<void> {
    if (log.byteLength > maxEntryBytes) return;
    this.#sql.exec(
      "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)",
      ...[key, log, log.byteLength, Date.now() + lifetimeMs],
    );
    this.#shrink(capacityBytes);
    if ((await this.ctx.storage.getAlarm()) === null) {
      await this.ctx.storage.setAlarm(Date.now() + lifetimeMs);
    }
  }

  override async alarm(): Promise<void> {
    this.#sql.exec("DELETE FROM answers WHERE expires <= ?", Date.now());
    const [next] = this.#sql.exec<{ at: number | null }>("SELECT min(expires) AS at FROM answers");
    if (next?.at) await this.ctx.storage.setAlarm(next.at);
  }

  /** Evicts the oldest entries: all entries live equally long, so these expire next anyway. */
  #shrink(bytes: number): void {
    const [total] = this.#sql.exec<{ bytes: number | null }>(
      "SELECT sum(bytes) AS bytes FROM answers",
    );
    let over = (total?.bytes ?? 0) - bytes;
    while (over > 0) {
      const [oldest] = this.#sql.exec<{ key: string; bytes: number }>(
        "SELECT key, bytes FROM answers ORDER BY expires LIMIT 1",
      );
      if (!oldest) return;
      this.#sql.exec("DELETE FROM answers WHERE key = ?", oldest.key);
      over -= oldest.bytes;
    }
  }
}
