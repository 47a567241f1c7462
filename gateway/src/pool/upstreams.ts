// The upstreams of the pool: their settings, kept in the object's storage, and what the last check of each found.
import { checkUpstream, type Found, UpstreamError } from "../upstreams/check-upstream.ts";
import type { UpstreamSettings } from "../upstreams/upstream.ts";
import { idle, type PoolWorker } from "./pool.ts";

/** How often each is checked. Between two checks, requests find out by themselves (routing/breaker.ts). */
const checkMs = 5_000;

export interface UpstreamState {
  settings: Omit<UpstreamSettings, "credential">;
  hasCredential: boolean;
  /** ms since the epoch; null: it was not checked since this object started. */
  checkedAt: number | null;
  models: readonly string[];
  /** Why it is not used; null: it is. */
  error: string | null;
}

interface Entry {
  settings: UpstreamSettings;
  /** Of the last check that succeeded. */
  found: Found | null;
  checkedAt: number | null;
  error: string | null;
}

function stateOf({ settings, found, checkedAt, error }: Entry): UpstreamState {
  const { credential, ...shown } = settings;
  const models = (found?.models ?? []).map(({ id }) => id);
  return { settings: shown, hasCredential: credential !== null, checkedAt, models, error };
}

export class Upstreams {
  readonly #storage: DurableObjectStorage;
  readonly #entries = new Map<string, Entry>();

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    storage.sql.exec(
      "CREATE TABLE IF NOT EXISTS upstreams (id TEXT PRIMARY KEY, settings TEXT NOT NULL, found TEXT)",
    );
    const rows = storage.sql.exec<{ id: string; settings: string; found: string | null }>(
      "SELECT * FROM upstreams",
    );
    for (const { id, settings, found } of rows) {
      const entry = { settings: JSON.parse(settings), found: found && JSON.parse(found) };
      this.#entries.set(id, { ...entry, checkedAt: null, error: null });
    }
  }

  /** Checks it, and adds it if it can be used, instead of the one with its id. */
  async add(settings: UpstreamSettings): Promise<UpstreamState> {
    const entry: Entry = { settings, found: null, checkedAt: null, error: null };
    await this.#check(entry);
    if (entry.found) {
      this.#entries.set(settings.id, entry);
      this.#write(entry);
      await this.#storage.setAlarm(Date.now() + checkMs);
    }
    return stateOf(entry);
  }

  settings(id: string): UpstreamSettings | null {
    return this.#entries.get(id)?.settings ?? null;
  }

  remove(id: string): boolean {
    this.#storage.sql.exec("DELETE FROM upstreams WHERE id = ?", id);
    return this.#entries.delete(id);
  }

  states(): UpstreamState[] {
    return [...this.#entries.values()].map(stateOf);
  }

  /** As the pool's view shows them. */
  workers(): PoolWorker[] {
    return [...this.#entries.values()].flatMap(({ settings, found, checkedAt, error }) => {
      if (!found) return [];
      const { id, url, credential, addedAt } = settings;
      return {
        ...{ id, url, credential: credential ?? "", models: found.models, load: idle },
        ...{ draining: false, healthy: error === null, registeredAt: addedAt },
        seenAt: checkedAt ?? addedAt,
        upstream: found.facts,
      };
    });
  }

  /** Checks all, and sets the time of the next check. */
  async check(): Promise<void> {
    const entries = [...this.#entries.values()];
    await Promise.all(entries.map((entry) => this.#check(entry)));
    if (this.#entries.size > 0) await this.#storage.setAlarm(Date.now() + checkMs);
  }

  async #check(entry: Entry): Promise<void> {
    try {
      // Another server may have come in the place of one that was away.
      const stayed = entry.checkedAt !== null && entry.error === null;
      const found = await checkUpstream(entry.settings, stayed ? entry.found : null);
      const changed = JSON.stringify(found) !== JSON.stringify(entry.found);
      entry.found = found;
      entry.error = null;
      // It may have been removed meanwhile.
      if (changed && this.#entries.get(entry.settings.id) === entry) this.#write(entry);
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      if (entry.error === null) console.warn(`upstream ${entry.settings.id}: ${error.message}`);
      entry.error = error.message;
    }
    entry.checkedAt = Date.now();
  }

  #write({ settings, found }: Entry): void {
    this.#storage.sql.exec(
      "INSERT OR REPLACE INTO upstreams VALUES (?, ?, ?)",
      ...[settings.id, JSON.stringify(settings), JSON.stringify(found)],
    );
  }
}
