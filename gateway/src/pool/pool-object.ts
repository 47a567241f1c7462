// The pool's single object: which workers there are, what they serve and how busy they are.
import { DurableObject } from "cloudflare:workers";
import type { UpstreamSettings } from "../upstreams/upstream.ts";
import { idle, type Model, type PoolView, type PoolWorker, type WorkerLoad } from "./pool.ts";
import { type UpstreamState, Upstreams } from "./upstreams.ts";

/** How often workers report. */
export const heartbeatMs = 500;
/** A worker that missed this many reports is not chosen. */
const maxMissed = 3;
/** A worker that is silent for this long is removed. */
const forgetMs = 600_000;
/** A drained worker that is silent for this long is removed. */
const forgetDrainedMs = 10_000;
/** A heartbeat is stored at most this often. */
const writeMs = 10_000;
/** After a restart of this object, a worker heard from within this time counts as healthy. */
const restartGraceMs = writeMs + 5_000;

export interface Registration {
  id: string;
  url: string;
  credential: string;
  models: Model[];
  load: WorkerLoad;
}

interface Entry {
  worker: Omit<PoolWorker, "healthy">;
  writtenAt: number;
  /** Heard from since this object started. Until then a longer silence is accepted. */
  heard: boolean;
}

export class PoolObject extends DurableObject {
  readonly #entries = new Map<string, Entry>();
  readonly #sql: SqlStorage;
  readonly #upstreams: Upstreams;
  readonly #since: Record<string, number> = Object.create(null);

  constructor(state: DurableObjectState, env: Cloudflare.Env) {
    super(state, env);
    this.#sql = state.storage.sql;
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS workers (id TEXT PRIMARY KEY, worker TEXT NOT NULL)",
    );
    for (const row of this.#sql.exec<{ id: string; worker: string }>("SELECT * FROM workers")) {
      const worker: Entry["worker"] = JSON.parse(row.worker);
      // It may have been written by an older gateway.
      worker.load = { ...idle, ...worker.load };
      this.#entries.set(row.id, { worker, writtenAt: worker.seenAt, heard: false });
    }
    this.#upstreams = new Upstreams(state.storage);
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS models (id TEXT PRIMARY KEY, since INTEGER NOT NULL)",
    );
    for (const row of this.#sql.exec<{ id: string; since: number }>("SELECT * FROM models")) {
      this.#since[row.id] = row.since;
    }
  }

  register({ id, url, credential, models, load }: Registration): { heartbeatMs: number } {
    const now = Date.now();
    // A worker that comes back at the same address replaces what was there under another name.
    for (const [other, { worker }] of this.#entries) {
      if (other !== id && worker.url === url) this.#forget(other);
    }
    const at = { draining: false, registeredAt: now, seenAt: now };
    const worker = { id, url, credential, models, load, ...at };
    this.#entries.set(id, { worker, writtenAt: 0, heard: true });
    this.#write(id);
    return { heartbeatMs };
  }

  /** Returns false if the pool does not know this worker: it must register again. */
  heartbeat(id: string, load: WorkerLoad | null, draining: boolean): boolean {
    const entry = this.#entries.get(id);
    if (!entry) return false;
    const changed = draining && !entry.worker.draining;
    entry.worker.seenAt = Date.now();
    entry.heard = true;
    if (load) entry.worker.load = load;
    if (changed) entry.worker.draining = true;
    if (changed || entry.worker.seenAt - entry.writtenAt >= writeMs) this.#write(id);
    return true;
  }

  /** Until it registers again. Returns false if the pool does not know this worker. */
  drain(id: string): boolean {
    const entry = this.#entries.get(id);
    if (!entry) return false;
    entry.worker.draining = true;
    this.#write(id);
    return true;
  }

  view(): PoolView {
    const now = Date.now();
    const workers: PoolWorker[] = [];
    for (const [id, { worker, heard }] of this.#entries) {
      const silence = now - worker.seenAt;
      if (silence > (worker.draining ? forgetDrainedMs : forgetMs)) {
        this.#forget(id);
        continue;
      }
      const healthy = silence <= (heard ? heartbeatMs * (maxMissed + 0.5) : restartGraceMs);
      workers.push({ ...worker, healthy });
    }
    const all = [...workers, ...this.#upstreams.workers()];
    this.#dateModels(all, now);
    return { workers: all, since: { ...this.#since } };
  }

  /** So that a model's beginning stays what it is when its workers come and go. */
  #dateModels(workers: readonly PoolWorker[], now: number): void {
    for (const { id } of workers.flatMap(({ models }) => models)) {
      if (id in this.#since) continue;
      this.#since[id] = now;
      this.#sql.exec("INSERT OR IGNORE INTO models VALUES (?, ?)", id, now);
    }
  }

  /** Adds an upstream, or replaces the one with its id, if it can be used. */
  addUpstream(settings: UpstreamSettings): Promise<UpstreamState> {
    return this.#upstreams.add(settings);
  }

  /** Its settings, with its credential; null if there is none. */
  upstream(id: string): UpstreamSettings | null {
    return this.#upstreams.settings(id);
  }

  /** Returns false if there is none. */
  removeUpstream(id: string): boolean {
    return this.#upstreams.remove(id);
  }

  upstreams(): UpstreamState[] {
    return this.#upstreams.states();
  }

  override async alarm(): Promise<void> {
    await this.#upstreams.check();
  }

  #write(id: string): void {
    const entry = this.#entries.get(id);
    if (!entry) return;
    entry.writtenAt = entry.worker.seenAt;
    this.#sql.exec(
      "INSERT OR REPLACE INTO workers (id, worker) VALUES (?, ?)",
      id,
      JSON.stringify(entry.worker),
    );
  }

  #forget(id: string): void {
    this.#entries.delete(id);
    this.#sql.exec("DELETE FROM workers WHERE id = ?", id);
  }
}
