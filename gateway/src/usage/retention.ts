// How long usage is kept: rows, one for each request, and the sums that outlive them. Each tenant's object sees to its own.
import { type Cutoffs, expireUsage } from "./usage-store.ts";

const daySeconds = 86_400;
const dayMs = 86_400_000;
/** Until the rest of much that is old, or the next try where D1 was away. */
const soonMs = 1_000;
const retryMs = 60_000;

/** In days; empty: for ever. */
export interface RetentionSettings {
  ANABRANCH_USAGE_ROW_DAYS?: string;
  ANABRANCH_USAGE_DAYS?: string;
}

/** The beginning of the UTC day `days` ago; 0 without a number of days: all is kept. */
const daysAgo = (days: string | undefined, now: number): number =>
  days ? Math.max(0, Math.floor(now / dayMs) - Number(days)) * daySeconds : 0;

function cutoffsOf(settings: RetentionSettings, now = Date.now()): Cutoffs {
  const sums = daysAgo(settings.ANABRANCH_USAGE_DAYS, now);
  return { rows: Math.max(sums, daysAgo(settings.ANABRANCH_USAGE_ROW_DAYS, now)), sums };
}

/** From when on reports can rely on rows, in seconds: a day more, for one may run while the day changes. */
export function keptFrom(settings: RetentionSettings, now = Date.now()): number {
  const { rows } = cutoffsOf(settings, now);
  return rows === 0 ? 0 : rows + daySeconds;
}

/** Deletes a tenant's old usage once a day, as long as it has any. Its object's alarm calls it. */
export class UsageRetention {
  readonly #sql: SqlStorage;
  readonly #db: D1Database;
  readonly #settings: RetentionSettings;

  constructor(sql: SqlStorage, db: D1Database, settings: RetentionSettings) {
    this.#sql = sql;
    this.#db = db;
    this.#settings = settings;
    sql.exec(`CREATE TABLE IF NOT EXISTS usage_expiry (
      tenant TEXT PRIMARY KEY, due INTEGER NOT NULL)`);
  }

  /** The tenant has usage in D1. */
  note(tenantId: string): void {
    this.#sql.exec(
      "INSERT OR IGNORE INTO usage_expiry VALUES (?, ?)",
      tenantId,
      Date.now() + dayMs,
    );
  }

  /** When something is to be done, ms since the epoch; null: never. */
  get due(): number | null {
    const [row] = this.#sql.exec<{ due: number | null }>(
      "SELECT min(due) AS due FROM usage_expiry",
    );
    return row?.due ?? null;
  }

  async expire(): Promise<void> {
    const now = Date.now();
    const due = this.#sql
      .exec<{ tenant: string }>("SELECT tenant FROM usage_expiry WHERE due <= ?", now)
      .toArray();
    for (const { tenant } of due) this.#next(tenant, await this.#expire(tenant, now));
  }

  /** In how many ms again; null: nothing is left. */
  async #expire(tenant: string, now: number): Promise<number | null> {
    try {
      const { more, left } = await expireUsage(this.#db, tenant, cutoffsOf(this.#settings, now));
      if (more) return soonMs;
      return left ? dayMs : null;
    } catch (error) {
      console.error("old usage was not deleted; trying again later", error);
      return retryMs;
    }
  }

  #next(tenant: string, ms: number | null): void {
    if (ms === null) this.#sql.exec("DELETE FROM usage_expiry WHERE tenant = ?", tenant);
    else
      this.#sql.exec("UPDATE usage_expiry SET due = ? WHERE tenant = ?", Date.now() + ms, tenant);
  }
}
