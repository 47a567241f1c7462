// Records one request: what was decided, when things happened, and, once, how it ended. Its limits are
// settled in the same call.
import type { Judgement } from "@anabranch/shared/classifier/judge.ts";
import type { TenantContext } from "../http/context.ts";
import type { Reservation } from "../limits/reservation.ts";
import { nothing, type Settlement } from "../limits/window.ts";
import { costOf, type Price } from "../prices/price.ts";
import { type Counts, noCounts } from "./counts.ts";
import type { UsageRow } from "./usage-store.ts";

/** What is known of a request when it arrives. */
export interface RequestFacts {
  requestId: string;
  model: string;
  endpoint: string;
  stream: boolean;
}

/** Tries at once. Who waits for the row waits for these. */
const maxAttempts = 3;
/** Then it is tried now and then, by at most so many requests of this isolate: storage may be full, or away. */
const laterMs = { first: 1_000, longest: 15_000, all: 900_000 };
const maxLater = 1_000;
let later = 0;

export class UsageRecorder {
  readonly reservation: Reservation;
  readonly #facts: RequestFacts & { tenantId: string; keyId: string; at: number };
  readonly #waitUntil: TenantContext["waitUntil"];
  #closed: Promise<void> | undefined;
  #startedMs: number | null = null;
  #firstTextMs: number | null = null;
  cache: "hit" | "miss" | "bypass" = "bypass";
  mode: "serial" | "parallel" = "serial";
  worker: string | null = null;
  /** What its model's tokens cost; null: nothing. */
  readonly price: Price | null;
  /** What the classifier says of the prompt; null if there was nothing that it could read. */
  judgement: Judgement | null = null;
  /**
   * It has an Idempotency-Key: its client gets the end of the answer once that is kept and counted, so that a retry
   * after any failure finds it, and nothing is counted twice or never.
   */
  once = false;

  constructor(
    { caller, at, reservation, waitUntil }: TenantContext,
    facts: RequestFacts,
    price: Price | null,
  ) {
    const { tenantId, keyId } = caller;
    this.#facts = { ...facts, tenantId, keyId, at };
    this.reservation = reservation;
    this.#waitUntil = waitUntil;
    this.price = price;
  }

  /** Resolves when the row is safe, once the request has ended. */
  get closed(): Promise<void> {
    return this.#closed ?? Promise.resolve();
  }

  /** The answer has begun. */
  started(): void {
    this.#startedMs = Date.now() - this.#facts.at;
  }

  firstText(): void {
    this.#firstTextMs ??= Date.now() - this.#facts.at;
  }

  /** The request was refused before anything ran. It costs a request if the fault was its own, else nothing. */
  refused(status: number): Promise<void> {
    const settlement = status < 499 ? nothing : "release";
    return this.#close(settlement, this.#row(status, noCounts, 0));
  }

  /**
   * The request ended; `stored`: its answer is kept, if it is to be. A cache hit takes a request, no tokens and no money.
   */
  ended(status: number, counts: Counts, stored: Promise<void>): Promise<void> {
    const spend =
      this.cache === "hit"
        ? nothing
        : {
            tokens: counts.promptTokens + counts.completionTokens,
            cost: costOf(this.price, counts),
          };
    return this.#close(spend, this.#row(status, counts, spend.cost), this.once ? stored : null);
  }

  #row(status: number, counts: Counts, cost: number): UsageRow {
    const { cache, mode, worker, judgement } = this;
    return {
      ...this.#facts,
      ...{ status, cache, mode, worker },
      probability: judgement?.probability ?? null,
      predictedSpeedup: judgement?.speedup ?? null,
      ...counts,
      cost,
      startedMs: this.#startedMs,
      firstTextMs: this.#firstTextMs,
      totalMs: Date.now() - this.#facts.at,
    };
  }

  /** Only the first end counts. */
  #close(
    settlement: Settlement,
    row: UsageRow,
    before: Promise<void> | null = null,
  ): Promise<void> {
    this.#closed ??= this.#send(settlement, row, before);
    return this.#closed;
  }

  async #send(settlement: Settlement, row: UsageRow, before: Promise<void> | null): Promise<void> {
    if (before) await before;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.reservation.finish(settlement, row);
      } catch (error) {
        if (attempt === maxAttempts) {
          if (later < maxLater) this.#waitUntil(this.#sendLater(settlement, row));
          throw error;
        }
        await scheduler.wait(50 * 4 ** attempt);
      }
    }
  }

  async #sendLater(settlement: Settlement, row: UsageRow): Promise<void> {
    const until = Date.now() + laterMs.all;
    later++;
    for (let wait = laterMs.first; Date.now() < until; wait = Math.min(2 * wait, laterMs.longest)) {
      await scheduler.wait(wait);
      try {
        await this.reservation.finish(settlement, row);
        later--;
        return console.log(`usage of ${row.requestId} is recorded now`);
      } catch {}
    }
    later--;
    console.error(`usage of ${row.requestId} is lost`);
  }
}
