// One object per tenant with its cached answers. Another tenant's entries can't even be addressed from
// here, an entry is visible to every location as soon as it is written (KV takes a minute, the Cache API
// never shares), and D1's single thread stays free.
import { DurableObject } from "cloudflare:workers";
import { Flights, type Joined } from "./flights.ts";

/** Larger logs are not cached: a row of an object holds at most 2 MB. */
export const maxEntryBytes = 1_000_000;
const defaultMegabytes = 64;
const defaultHours = 24;

/** A variable of the environment that is a number above 0; else `otherwise`. */
function numberOf(text: string | undefined, otherwise: number): number {
  const number = Number(text);
  return number > 0 ? number : otherwise;
}

export interface Entry {
  log: ArrayBuffer;
  /** Of the request, if its key does not say it. */
  fingerprint: string;
  /** So that a model's answers can be purged. */
  model: string;
}

/** A kept answer, or what else its request does. */
export type Opened = { kind: "hit"; log: ArrayBuffer } | Joined;

export class AnswersObject extends DurableObject {
  readonly #sql: SqlStorage;
  readonly #flights = new Flights();
  readonly #capacityBytes: number;
  readonly #lifetimeMs: number;

  constructor(state: DurableObjectState, env: Cloudflare.Env) {
    super(state, env);
    this.#sql = state.storage.sql;
    this.#capacityBytes = 1e6 * numberOf(env.ANABRANCH_CACHE_MB, defaultMegabytes);
    this.#lifetimeMs = 3_600_000 * numberOf(env.ANABRANCH_CACHE_HOURS, defaultHours);
    // Of an earlier layout: a cache may be forgotten.
    this.#sql.exec("DROP TABLE IF EXISTS answers");
    this.#sql.exec(`CREATE TABLE IF NOT EXISTS entries (
      key TEXT PRIMARY KEY, log BLOB NOT NULL, bytes INTEGER NOT NULL, expires INTEGER NOT NULL,
      fingerprint TEXT NOT NULL DEFAULT '', model TEXT NOT NULL DEFAULT '')`);
    this.#sql.exec("CREATE INDEX IF NOT EXISTS entries_by_expiry ON entries (expires)");
  }

  /** The answer under `key`, for the request `leader`. */
  open(key: string, leader: string, fingerprint: string): Opened {
    const [row] = this.#sql.exec<{ log: ArrayBuffer; fingerprint: string }>(
      "SELECT log, fingerprint FROM entries WHERE key = ? AND expires > ?",
      ...[key, Date.now()],
    );
    if (!row) return this.#flights.join(key, leader, fingerprint);
    return row.fingerprint === fingerprint ? { kind: "hit", log: row.log } : { kind: "conflict" };
  }

  /** Of the request that leads: the next messages. Returns how many follow. */
  tell(key: string, leader: string, messages: Uint8Array | null): number {
    return this.#flights.tell(key, leader, messages);
  }

  /** Of the request that leads: the answer is complete, and kept if it is small enough. */
  async keep(key: string, leader: string, all: Uint8Array, entry: Entry): Promise<void> {
    this.#flights.end(key, leader, all);
    await this.write(key, entry);
  }

  /** Of the request that leads: nothing comes of it. */
  abandon(key: string, leader: string): void {
    this.#flights.end(key, leader, null);
  }

  async write(key: string, { log, fingerprint, model }: Entry): Promise<void> {
    if (log.byteLength > maxEntryBytes) return;
    this.#sql.exec(
      "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)",
      ...[key, log, log.byteLength, Date.now() + this.#lifetimeMs, fingerprint, model],
    );
    this.#shrink(this.#capacityBytes);
    if ((await this.ctx.storage.getAlarm()) === null) {
      await this.ctx.storage.setAlarm(Date.now() + this.#lifetimeMs);
    }
  }

  /** Forgets the answers of a model, or all. Returns how many. */
  purge(model: string | null): number {
    const forgotten = this.#sql.exec(
      "DELETE FROM entries WHERE ? IS NULL OR model = ? RETURNING key",
      ...[model, model],
    );
    return forgotten.toArray().length;
  }

  override async alarm(): Promise<void> {
    this.#sql.exec("DELETE FROM entries WHERE expires <= ?", Date.now());
    const [next] = this.#sql.exec<{ at: number | null }>("SELECT min(expires) AS at FROM entries");
    if (next?.at) await this.ctx.storage.setAlarm(next.at);
  }

  /** Evicts the oldest entries: all entries live equally long, so these expire next anyway. */
  #shrink(bytes: number): void {
    const [total] = this.#sql.exec<{ bytes: number | null }>(
      "SELECT sum(bytes) AS bytes FROM entries",
    );
    let over = (total?.bytes ?? 0) - bytes;
    while (over > 0) {
      const [oldest] = this.#sql.exec<{ key: string; bytes: number }>(
        "SELECT key, bytes FROM entries ORDER BY expires LIMIT 1",
      );
      if (!oldest) return;
      this.#sql.exec("DELETE FROM entries WHERE key = ?", oldest.key);
      over -= oldest.bytes;
    }
  }
}
