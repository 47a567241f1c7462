// One object per tenant: the limits of its keys, its usage rows on their way to D1, and the responses that it keeps.
import { DurableObject } from "cloudflare:workers";
import type { Holder, Limits } from "../limits/limits.ts";
import { type Reserved, type Settlement, type Spend, SpendingWindow } from "../limits/window.ts";
import { type KeptResponse, ResponseStore } from "../responses/response-store.ts";
import { UsageOutbox } from "../usage/outbox.ts";
import { type RetentionSettings, UsageRetention } from "../usage/retention.ts";
import type { UsageRow } from "../usage/usage-store.ts";

type Bindings = { DB: D1Database } & RetentionSettings;

export class TenantObject extends DurableObject<Bindings> {
  readonly #window: SpendingWindow;
  readonly #outbox: UsageOutbox;
  readonly #retention: UsageRetention;
  readonly #responses: ResponseStore;

  constructor(state: DurableObjectState, env: Bindings) {
    super(state, env);
    this.#window = new SpendingWindow(state.storage.sql);
    this.#retention = new UsageRetention(state.storage.sql, env.DB, env);
    this.#outbox = new UsageOutbox(state.storage, env.DB, (tenant) => this.#retention.note(tenant));
    this.#responses = new ResponseStore(state.storage.sql);
  }

  reserve(
    requestId: string,
    keyId: string,
    spend: Spend,
    limits: Record<Holder, Limits>,
  ): Reserved {
    return this.#window.reserve(requestId, keyId, spend, limits);
  }

  correct(requestId: string, spend: Spend | null): void {
    this.#window.correct(requestId, spend);
  }

  /**
   * Ends a request: settles what it spent and takes its usage row, both or neither, so that it can be tried again at any
   * time. The row is safe when this returns.
   */
  async finish(
    requestId: string,
    keyId: string,
    settlement: Settlement,
    row: UsageRow | null,
  ): Promise<void> {
    this.ctx.storage.transactionSync(() => {
      if (settlement === "release") this.#window.release(requestId);
      else this.#window.settle(requestId, keyId, settlement);
      if (row) this.#outbox.put(row);
    });
    if (row) await this.#outbox.wake();
  }

  /** What was spent in this month: by the tenant, and by each key that spent any. */
  month(): ReturnType<SpendingWindow["month"]> {
    return this.#window.month();
  }

  /** Every row taken so far is in D1 when this returns. Throws if D1 can't be reached. */
  async flush(): Promise<void> {
    await this.#outbox.flush();
  }

  /** False if it is too large to keep. Its request's usage sets the alarm that expires it. */
  keepResponse(id: string, kept: KeptResponse): boolean {
    return this.#responses.put(id, kept);
  }

  /** Null if there is none. */
  keptResponse(id: string): KeptResponse | null {
    return this.#responses.get(id);
  }

  /** False if there is none. */
  removeResponse(id: string): boolean {
    return this.#responses.remove(id);
  }

  override async alarm(): Promise<void> {
    await this.#outbox.onAlarm();
    this.#responses.expire();
    await this.#retention.expire();
    const next = [this.#responses.nextExpiry, this.#retention.due].filter((at) => at !== null);
    const { storage } = this.ctx;
    if (next.length > 0 && (await storage.getAlarm()) === null) {
      await storage.setAlarm(Math.min(...next));
    }
  }
}
