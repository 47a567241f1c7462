// One object per tenant: its keys' limits, and the usage rows on their way to D1.
import { DurableObject } from "cloudflare:workers";
import type { Environment } from "../environment.ts";
import { UsageOutbox } from "../usage/outbox.ts";
import type { UsageRow } from "../usage/usage-row.ts";
import { type Limits, LimitWindow, type Refusal } from "./window.ts";

/** How a request's limits are closed: with what it cost, or as if it had never been. */
export type Settlement = { tokens: number } | "release" | "unlimited";

export class TenantObject extends DurableObject<Environment> {
  readonly #window: LimitWindow;
  readonly #outbox: UsageOutbox;

  constructor(state: DurableObjectState, env: Environment) {
    super(state, env);
    this.#window = new LimitWindow(state.storage.sql);
    this.#outbox = new UsageOutbox(state.storage, env.DB);
  }

  reserve(requestId: string, keyId: string, tokens: number, limits: Limits): Refusal | null {
    return this.#window.reserve(requestId, keyId, tokens, limits);
  }

  correct(requestId: string, tokens: number | null): void {
    this.#window.correct(requestId, tokens);
  }

  /** Ends a request: settles its limits and takes its usage row, which is safe from then on. */
  async finish(requestId: string, settlement: Settlement, row: UsageRow | null): Promise<void> {
    if (settlement === "release") this.#window.release(requestId);
    else if (settlement !== "unlimited") this.#window.settle(requestId, settlement.tokens);
    if (row) await this.#outbox.put(row);
  }

  /** Everything taken so far is in D1 when this returns. Throws where D1 is not there. */
  async flush(): Promise<void> {
    await this.#outbox.flush();
  }

  override async alarm(): Promise<void> {
    await this.#outbox.onAlarm();
  }
}
