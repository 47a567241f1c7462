// Requests and tokens per minute, exact: a sliding window over the object's own table. Tokens are
// reserved before anything runs, so that concurrent requests can't spend the same ones, and settled to
// what was used.

const windowMs = 60_000;
/** A reservation whose request never comes back (its isolate died) counts as spent after this. */
const leaseMs = 180_000;
/** When to try again if running requests hold the tokens. */
const soonMs = 2_000;

export interface Limits {
  rpm: number | null;
  tpm: number | null;
}

/** How a reservation ends: with what the request cost, or as if it had never been made. */
export type Settlement = { tokens: number } | "release" | "unlimited";

export interface Refusal {
  kind: "requests" | "tokens";
  limit: number;
  used: number;
  requested: number;
  /** When it may succeed, in ms from now; null: never, because it asks for more than the whole limit. */
  retryAfterMs: number | null;
}

export class LimitWindow {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    // settled: when the tokens were settled; for an open reservation, when its lease ends.
    sql.exec(`CREATE TABLE IF NOT EXISTS spending (
      request_id TEXT PRIMARY KEY, key_id TEXT NOT NULL, at INTEGER NOT NULL,
      tokens INTEGER NOT NULL, settled INTEGER NOT NULL, open INTEGER NOT NULL)`);
    sql.exec("CREATE INDEX IF NOT EXISTS spending_by_key ON spending (key_id, at)");
    sql.exec("CREATE INDEX IF NOT EXISTS spending_by_settled ON spending (settled)");
  }

  /** Takes one request and `tokens` from the key's minute. Returns null on success. */
  reserve(
    requestId: string,
    keyId: string,
    tokens: number,
    { rpm, tpm }: Limits,
    now = Date.now(),
  ): Refusal | null {
    const since = now - windowMs;
    this.#sql.exec("DELETE FROM spending WHERE settled <= ? AND at <= ?", since, since);
    const { requests, used } = this.#sql
      .exec<{ requests: number; used: number }>(
        `SELECT count(CASE WHEN at > ? THEN 1 END) AS requests,
          coalesce(sum(CASE WHEN settled > ? THEN tokens END), 0) AS used
        FROM spending WHERE key_id = ?`,
        ...[since, since, keyId],
      )
      .one();
    if (rpm !== null && requests >= rpm) {
      const retryAfterMs = this.#requestFreed(keyId, since, requests - rpm) - since;
      return { kind: "requests", limit: rpm, used: requests, requested: 1, retryAfterMs };
    }
    if (tpm !== null && used + tokens > tpm) {
      const refusal = { kind: "tokens" as const, limit: tpm, used, requested: tokens };
      if (tokens > tpm) return { ...refusal, retryAfterMs: null };
      const retryAfterMs = this.#tokensFreed(keyId, now, used + tokens - tpm) - now;
      return { ...refusal, retryAfterMs };
    }
    this.#sql.exec(
      "INSERT OR REPLACE INTO spending VALUES (?, ?, ?, ?, ?, 1)",
      ...[requestId, keyId, now, tokens, now + leaseMs],
    );
    return null;
  }

  /** Arrival of the request that must leave the window before another one fits. */
  #requestFreed(keyId: string, since: number, older: number): number {
    const { at } = this.#sql
      .exec<{ at: number }>(
        "SELECT at FROM spending WHERE key_id = ? AND at > ? ORDER BY at LIMIT 1 OFFSET ?",
        ...[keyId, since, older],
      )
      .one();
    return at;
  }

  /** When `tokens` of what is counted now will have left the window. */
  #tokensFreed(keyId: string, now: number, tokens: number): number {
    let left = tokens;
    const counted = this.#sql.exec<{ tokens: number; settled: number }>(
      "SELECT tokens, settled FROM spending WHERE key_id = ? AND settled > ? ORDER BY settled",
      ...[keyId, now - windowMs],
    );
    for (const row of counted) {
      // A running request may settle at any moment, and free most of what it reserved.
      if (row.settled > now) break;
      left -= row.tokens;
      if (left <= 0) return row.settled + windowMs;
    }
    return now + soonMs;
  }

  /** Replaces the estimate once more is known; also renews the lease of a long request. */
  correct(requestId: string, tokens: number | null, now = Date.now()): void {
    this.#sql.exec(
      "UPDATE spending SET tokens = coalesce(?, tokens), settled = ? WHERE request_id = ? AND open = 1",
      ...[tokens, now + leaseMs, requestId],
    );
  }

  /** Books what the request cost. */
  settle(requestId: string, tokens: number, now = Date.now()): void {
    this.#sql.exec(
      "UPDATE spending SET tokens = ?, settled = ?, open = 0 WHERE request_id = ? AND open = 1",
      ...[tokens, now, requestId],
    );
  }

  /** Removes the reservation of a request that was refused before anything ran. */
  release(requestId: string): void {
    this.#sql.exec("DELETE FROM spending WHERE request_id = ? AND open = 1", requestId);
  }
}
