// Records one request: what was decided, when things happened, and, once, how it ended. Its limits are
// settled in the same call.
import { type Environment, tenantObject } from "../environment.ts";
import type { TenantContext } from "../http/context.ts";
import { Reservation } from "../limits/reservation.ts";
import type { Settlement } from "../limits/window.ts";
import { type Counts, noCounts } from "./counts.ts";
import type { UsageRow } from "./usage-store.ts";

/** What is known of a request when it arrives. */
export interface RequestFacts {
  requestId: string;
  model: string;
  endpoint: string;
  stream: boolean;
}

const maxAttempts = 3;

export class UsageRecorder {
  readonly reservation: Reservation;
  readonly #env: Environment;
  readonly #facts: RequestFacts & { tenantId: string; keyId: string; at: number };
  #closed: Promise<void> | undefined;
  #startedMs: number | null = null;
  #firstTextMs: number | null = null;
  cache: "hit" | "miss" | "bypass" = "bypass";
  mode: "serial" | "parallel" = "serial";
  worker: string | null = null;

  constructor({ env, caller, at }: TenantContext, facts: RequestFacts) {
    const { tenantId, keyId } = caller;
    this.#env = env;
    this.#facts = { ...facts, tenantId, keyId, at };
    this.reservation = new Reservation(env, caller, facts.requestId);
  }

  /** The answer has begun. */
  started(): void {
    this.#startedMs = Date.now() - this.#facts.at;
  }

  firstText(): void {
    this.#firstTextMs ??= Date.now() - this.#facts.at;
  }

  /** The request was refused before anything ran: it costs nothing. */
  refused(status: number): Promise<void> {
    return this.#close("release", this.#row(status, noCounts));
  }

  /** The request ended. A cache hit costs a request and no tokens. */
  ended(status: number, counts: Counts): Promise<void> {
    const tokens = this.cache === "hit" ? 0 : counts.promptTokens + counts.completionTokens;
    return this.#close({ tokens }, this.#row(status, counts));
  }

  #row(status: number, counts: Counts): UsageRow {
    const { cache, mode, worker } = this;
    return {
      ...this.#facts,
      ...{ status, cache, mode, worker },
      ...counts,
      startedMs: this.#startedMs,
      firstTextMs: this.#firstTextMs,
      totalMs: Date.now() - this.#facts.at,
    };
  }

  /** Only the first end counts. */
  #close(settlement: Settlement, row: UsageRow): Promise<void> {
    this.#closed ??= this.#send(this.reservation.settlement(settlement), row);
    return this.#closed;
  }

  async #send(settlement: Settlement, row: UsageRow): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        const tenant = tenantObject(this.#env, this.#facts.tenantId);
        return await tenant.finish(row.requestId, settlement, row);
      } catch (error) {
        if (attempt === maxAttempts) throw error;
        await scheduler.wait(50 * 4 ** attempt);
      }
    }
  }
}
