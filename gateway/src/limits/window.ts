// What a tenant's keys have spent and reserved, exact: a sliding window of a minute, and the calendar month, over
// the object's own tables. Tokens are reserved before anything runs, so that concurrent requests can't spend the
// same ones, and settled to what was used.
import type { Holder, Limits } from "./limits.ts";

const windowMs = 60_000;
/** A reservation whose request never comes back (its isolate died) counts as spent after this. */
const leaseMs = 180_000;
/** When to try again if running requests hold the tokens. */
const soonMs = 2_000;

/** What a request takes of the limits, beside itself. */
export interface Spend {
  tokens: number;
  /** In millionths of the currency's unit. */
  cost: number;
}

/** What a request spends that runs nothing. */
export const nothing: Spend = { tokens: 0, cost: 0 };

/** How a request ends: with what it spent, or as if it had never been made. */
export type Settlement = Spend | "release";

export interface Refusal {
  kind: "requests" | "tokens" | "concurrent" | "monthly" | "cost";
  of: Holder;
  /** All three of `kind`; money in millionths of the currency's unit. */
  limit: number;
  used: number;
  requested: number;
  /**
   * When it may succeed, in ms from now; null: never, because it asks for more than the whole limit. Of a month's budget
   * that is spent, when it begins anew, however much the request asks for.
   */
  retryAfterMs: number | null;
}

/** A limit of a minute, and what is left of it. */
export interface Left {
  limit: number;
  remaining: number;
}

/** What is left after a request was let through or refused; null: there is no such limit. Of key and tenant the tighter one. */
export interface Standing {
  requests: Left | null;
  tokens: Left | null;
}

export interface Reserved {
  /** null: it was let through. */
  refusal: Refusal | null;
  standing: Standing;
}

/** Of a key, or of the tenant. */
interface Spent {
  requests: number;
  tokens: number;
  running: number;
  /** In this month, with what is reserved. */
  month: Spend;
}

const monthOf = (now: number) => new Date(now).toISOString().slice(0, 7);

function nextMonth(now: number): number {
  const at = new Date(now);
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1);
}

/** The month's counter of the tenant; a key's is under its id. */
const wholeTenant = "";

export class SpendingWindow {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    // settled: when the tokens were settled; for an open reservation, when its lease ends.
    sql.exec(`CREATE TABLE IF NOT EXISTS spending (
      request_id TEXT PRIMARY KEY, key_id TEXT NOT NULL, at INTEGER NOT NULL,
      tokens INTEGER NOT NULL, settled INTEGER NOT NULL, open INTEGER NOT NULL)`);
    sql.exec("CREATE INDEX IF NOT EXISTS spending_by_key ON spending (key_id, at)");
    sql.exec("CREATE INDEX IF NOT EXISTS spending_by_settled ON spending (settled)");
    sql.exec(`CREATE TABLE IF NOT EXISTS months (
      key_id TEXT NOT NULL, month TEXT NOT NULL, tokens INTEGER NOT NULL,
      PRIMARY KEY (key_id, month))`);
    // Tables of before there were prices.
    for (const table of ["spending", "months"]) {
      const columns = sql.exec<{ name: string }>(`PRAGMA table_info(${table})`).toArray();
      if (columns.some(({ name }) => name === "cost")) continue;
      sql.exec(`ALTER TABLE ${table} ADD cost INTEGER NOT NULL DEFAULT 0`);
    }
  }

  /** Takes one request and what it may spend, if neither the key's nor the tenant's limits refuse it. */
  reserve(
    requestId: string,
    keyId: string,
    spend: Spend,
    limits: Record<Holder, Limits>,
    now = Date.now(),
  ): Reserved {
    this.#prune(now);
    const holders = (["tenant", "key"] as const).map((holder) => {
      const countedKey = holder === "key" ? keyId : null;
      return { holder, countedKey, its: limits[holder], spent: this.#spent(countedKey, now) };
    });
    const standing = (requests: number, tokens: number): Standing => ({
      requests: tightest(holders.map(({ its, spent }) => [its.rpm, spent.requests + requests])),
      tokens: tightest(holders.map(({ its, spent }) => [its.tpm, spent.tokens + tokens])),
    });
    for (const { holder, countedKey, its, spent } of holders) {
      const refusal = this.#refusal(its, spent, spend, countedKey, now);
      if (refusal) return { refusal: { ...refusal, of: holder }, standing: standing(0, 0) };
    }
    this.#sql.exec(
      `INSERT OR REPLACE INTO spending (request_id, key_id, at, tokens, cost, settled, open)
      VALUES (?, ?, ?, ?, ?, ?, 1)`,
      ...[requestId, keyId, now, spend.tokens, spend.cost, now + leaseMs],
    );
    return { refusal: null, standing: standing(1, spend.tokens) };
  }

  /** `keyId` null: of the whole tenant. */
  #spent(keyId: string | null, now: number): Spent {
    const since = now - windowMs;
    const minute = this.#sql
      .exec<Omit<Spent, "month"> & { reserved: number; reservedCost: number }>(
        `SELECT count(CASE WHEN at > ? THEN 1 END) AS requests,
          coalesce(sum(CASE WHEN settled > ? THEN tokens END), 0) AS tokens,
          count(CASE WHEN open = 1 AND settled > ? THEN 1 END) AS running,
          coalesce(sum(CASE WHEN open = 1 THEN tokens END), 0) AS reserved,
          coalesce(sum(CASE WHEN open = 1 THEN cost END), 0) AS reservedCost
        FROM spending WHERE ? IS NULL OR key_id = ?`,
        ...[since, since, now, keyId, keyId],
      )
      .one();
    const { requests, tokens, running, reserved, reservedCost } = minute;
    const booked = this.#booked(keyId, now);
    const month = { tokens: booked.tokens + reserved, cost: booked.cost + reservedCost };
    return { requests, tokens, running, month };
  }

  /** In this month, by requests that have ended. */
  #booked(keyId: string | null, now: number): Spend {
    const [row] = this.#sql.exec<{ tokens: number; cost: number }>(
      "SELECT tokens, cost FROM months WHERE key_id = ? AND month = ?",
      ...[keyId ?? wholeTenant, monthOf(now)],
    );
    return row ?? nothing;
  }

  #refusal(
    { rpm, tpm, maxConcurrent, tokensPerMonth, costPerMonth }: Limits,
    spent: Spent,
    { tokens, cost }: Spend,
    keyId: string | null,
    now: number,
  ): Omit<Refusal, "of"> | null {
    if (maxConcurrent !== null && spent.running >= maxConcurrent) {
      const facts = { limit: maxConcurrent, used: spent.running, requested: 1 };
      return { kind: "concurrent", ...facts, retryAfterMs: soonMs };
    }
    if (rpm !== null && spent.requests >= rpm) {
      const retryAfterMs = this.#requestFreed(keyId, now, spent.requests - rpm) - now;
      return { kind: "requests", limit: rpm, used: spent.requests, requested: 1, retryAfterMs };
    }
    if (tokensPerMonth !== null && spent.month.tokens + tokens > tokensPerMonth) {
      const facts = { limit: tokensPerMonth, used: spent.month.tokens, requested: tokens };
      const never = tokens > tokensPerMonth && spent.month.tokens < tokensPerMonth;
      const retryAfterMs = never ? null : nextMonth(now) - now;
      return { kind: "monthly", ...facts, retryAfterMs };
    }
    if (costPerMonth !== null && spent.month.cost + cost > costPerMonth) {
      const facts = { limit: costPerMonth, used: spent.month.cost, requested: cost };
      const never = cost > costPerMonth && spent.month.cost < costPerMonth;
      const retryAfterMs = never ? null : nextMonth(now) - now;
      return { kind: "cost", ...facts, retryAfterMs };
    }
    if (tpm !== null && spent.tokens + tokens > tpm) {
      const facts = { limit: tpm, used: spent.tokens, requested: tokens };
      if (tokens > tpm) return { kind: "tokens", ...facts, retryAfterMs: null };
      const retryAfterMs = this.#tokensFreed(keyId, now, spent.tokens + tokens - tpm) - now;
      return { kind: "tokens", ...facts, retryAfterMs };
    }
    return null;
  }

  /** When the request will have left the window that must before another one fits. */
  #requestFreed(keyId: string | null, now: number, older: number): number {
    const { at } = this.#sql
      .exec<{ at: number }>(
        `SELECT at FROM spending WHERE (? IS NULL OR key_id = ?) AND at > ?
        ORDER BY at LIMIT 1 OFFSET ?`,
        ...[keyId, keyId, now - windowMs, older],
      )
      .one();
    return at + windowMs;
  }

  /** When `tokens` of what is counted now will have left the window. */
  #tokensFreed(keyId: string | null, now: number, tokens: number): number {
    let left = tokens;
    const counted = this.#sql.exec<{ tokens: number; settled: number }>(
      `SELECT tokens, settled FROM spending WHERE (? IS NULL OR key_id = ?) AND settled > ?
      ORDER BY settled`,
      ...[keyId, keyId, now - windowMs],
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
  correct(requestId: string, spend: Spend | null, now = Date.now()): void {
    this.#sql.exec(
      `UPDATE spending SET tokens = coalesce(?, tokens), cost = coalesce(?, cost), settled = ?
      WHERE request_id = ? AND open = 1`,
      ...[spend?.tokens ?? null, spend?.cost ?? null, now + leaseMs, requestId],
    );
  }

  /** Books what the request spent, once: also of one that needed no reservation. */
  settle(requestId: string, keyId: string, { tokens, cost }: Spend, now = Date.now()): void {
    this.#prune(now);
    const booked = this.#sql.exec(
      `INSERT INTO spending (request_id, key_id, at, tokens, cost, settled, open)
      VALUES (?, ?, ?, ?, ?, ?, 0) ON CONFLICT (request_id)
      DO UPDATE SET tokens = excluded.tokens, cost = excluded.cost, settled = excluded.settled, open = 0
      WHERE open = 1 RETURNING request_id`,
      ...[requestId, keyId, now, tokens, cost, now],
    );
    if (booked.toArray().length === 0 || (tokens === 0 && cost === 0)) return;
    for (const each of [wholeTenant, keyId]) {
      this.#sql.exec(
        `INSERT INTO months (key_id, month, tokens, cost) VALUES (?, ?, ?, ?)
        ON CONFLICT (key_id, month)
        DO UPDATE SET tokens = tokens + excluded.tokens, cost = cost + excluded.cost`,
        ...[each, monthOf(now), tokens, cost],
      );
    }
  }

  /** Removes the reservation of a request that was refused before anything ran. */
  release(requestId: string): void {
    this.#sql.exec("DELETE FROM spending WHERE request_id = ? AND open = 1", requestId);
  }

  /** What was spent in this month: by the tenant, and by each key that spent any. */
  month(now = Date.now()): { tenant: Spend; keys: Record<string, Spend> } {
    const rows = this.#sql.exec<{ key_id: string; tokens: number; cost: number }>(
      "SELECT key_id, tokens, cost FROM months WHERE month = ?",
      monthOf(now),
    );
    const keys = Object.fromEntries([...rows].map(({ key_id, ...spend }) => [key_id, spend]));
    const { [wholeTenant]: tenant = nothing, ...others } = keys;
    return { tenant, keys: others };
  }

  #prune(now: number): void {
    const since = now - windowMs;
    this.#sql.exec("DELETE FROM spending WHERE settled <= ? AND at <= ?", since, since);
  }
}

/** Of limits with what is used of each, the one that leaves the least. */
function tightest(used: readonly (readonly [limit: number | null, used: number])[]): Left | null {
  const left = used.flatMap(([limit, used]) =>
    limit === null ? [] : [{ limit, remaining: Math.max(0, limit - used) }],
  );
  return left.sort((a, b) => a.remaining - b.remaining)[0] ?? null;
}
