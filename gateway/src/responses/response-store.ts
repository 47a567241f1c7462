// The responses that a tenant keeps, with the conversation that each ends: tables of the tenant's object.

const lifetimeMs = 30 * 86_400_000;
/** A row of an object holds at most 2 MB. */
const largest = 1_000_000;
const capacityBytes = 64_000_000;

export interface KeptResponse {
  /** As the client got it, in JSON. */
  response: string;
  /** The messages of its conversation, its answer the last, in JSON. */
  messages: string;
}

export class ResponseStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS responses (
      id TEXT PRIMARY KEY, response TEXT NOT NULL, messages TEXT NOT NULL, bytes INTEGER NOT NULL,
      expires INTEGER NOT NULL)`);
    sql.exec("CREATE INDEX IF NOT EXISTS responses_by_expiry ON responses (expires)");
  }

  /** False if it is too large to keep. The oldest make room. */
  put(id: string, { response, messages }: KeptResponse): boolean {
    // In UTF-8 a character of JavaScript has at most three bytes.
    const bytes = 3 * (response.length + messages.length);
    if (bytes > 2 * largest) return false;
    this.#sql.exec(
      "INSERT OR REPLACE INTO responses VALUES (?, ?, ?, ?, ?)",
      ...[id, response, messages, bytes, Date.now() + lifetimeMs],
    );
    this.expire();
    this.#shrink();
    return true;
  }

  get(id: string): KeptResponse | null {
    const [row] = this.#sql.exec<{ response: string; messages: string }>(
      "SELECT response, messages FROM responses WHERE id = ? AND expires > ?",
      ...[id, Date.now()],
    );
    return row ?? null;
  }

  /** False if there is none. */
  remove(id: string): boolean {
    return (
      this.#sql.exec("DELETE FROM responses WHERE id = ? RETURNING id", id).toArray().length > 0
    );
  }

  expire(): void {
    this.#sql.exec("DELETE FROM responses WHERE expires <= ?", Date.now());
  }

  /** When the next one expires, ms since the epoch; null if there is none. */
  get nextExpiry(): number | null {
    const [row] = this.#sql.exec<{ at: number | null }>("SELECT min(expires) AS at FROM responses");
    return row?.at ?? null;
  }

  #shrink(): void {
    const [total] = this.#sql.exec<{ bytes: number | null }>(
      "SELECT sum(bytes) AS bytes FROM responses",
    );
    let over = (total?.bytes ?? 0) - capacityBytes;
    while (over > 0) {
      const [oldest] = this.#sql.exec<{ id: string; bytes: number }>(
        "SELECT id, bytes FROM responses ORDER BY expires LIMIT 1",
      );
      if (!oldest) return;
      this.remove(oldest.id);
      over -= oldest.bytes;
    }
  }
}
