// One request's share of its key's limits: reserved before anything runs, corrected once the prompt's
// length is known, settled when the request ends.
import { ApiError } from "../api-error.ts";
import type { Caller } from "../auth/key-store.ts";
import { type Environment, tenantObject } from "../environment.ts";
import type { UsageRow } from "../usage/usage-store.ts";
import type { Refusal, Settlement } from "./window.ts";

/** A long answer renews its reservation this often. */
const renewalMs = 60_000;

function limitError({ kind, limit, used, requested, retryAfterMs }: Refusal): ApiError {
  const unit = kind === "requests" ? "requests per min (RPM)" : "tokens per min (TPM)";
  const numbers = `Limit ${limit}, used ${used}, requested ${requested}`;
  const options = { type: "rate_limit_error" as const, code: "rate_limit_exceeded" };
  if (retryAfterMs === null) {
    // Waiting does not help; SDKs would otherwise retry.
    return new ApiError(
      429,
      `This request is larger than the key's limit on ${unit}: ${numbers}. Lower max_tokens or shorten the prompt.`,
      { ...options, headers: { "x-should-retry": "false" } },
    );
  }
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1_000));
  return new ApiError(
    429,
    `Rate limit reached on ${unit}: ${numbers}. Please try again in ${seconds} s.`,
    { ...options, headers: { "retry-after": String(seconds) } },
  );
}

/**
 * Keys that have spent their requests: the refusal, and until when it holds. In this isolate only; it keeps a
 * key's further requests from costing more than a look into this map.
 */
const spent = new Map<string, { refusal: Refusal; until: number }>();
const maxSpent = 10_000;

function markSpent(keyId: string, refusal: Refusal): void {
  if (refusal.kind !== "requests" || refusal.retryAfterMs === null) return;
  const [oldest] = spent.keys();
  if (spent.size >= maxSpent && oldest !== undefined) spent.delete(oldest);
  spent.set(keyId, { refusal, until: Date.now() + refusal.retryAfterMs });
}

export class Reservation {
  readonly #env: Environment;
  readonly #caller: Caller;
  readonly #requestId: string;
  /** When the tenant's object last heard of it; null: the key has no limits, nothing is reserved. */
  #renewedAt: number | null = null;

  constructor(env: Environment, caller: Caller, requestId: string) {
    this.#env = env;
    this.#caller = caller;
    this.#requestId = requestId;
  }

  /** Throws a 429 ApiError if the key is known to have no requests left. Costs no call. */
  checkSpent(): void {
    const { keyId, rpm } = this.#caller;
    const known = spent.get(keyId);
    if (!known) return;
    const retryAfterMs = known.until - Date.now();
    if (retryAfterMs > 0 && rpm === known.refusal.limit) {
      throw limitError({ ...known.refusal, retryAfterMs });
    }
    spent.delete(keyId);
  }

  /**
   * Counts a request that was refused before it reserved anything: it costs a request and no tokens. Throws a
   * 429 ApiError if the key has none left.
   */
  async countRefused(): Promise<void> {
    if (this.#renewedAt !== null || this.#caller.rpm === null) return;
    await this.reserve(0);
    await this.finish({ tokens: 0 }, null);
  }

  /** Throws a 429 ApiError if the key has no room for `tokens` in this minute. */
  async reserve(tokens: number): Promise<void> {
    const { keyId, rpm, tpm } = this.#caller;
    if (rpm === null && tpm === null) return;
    const refusal = await this.#tenant.reserve(this.#requestId, keyId, tokens, { rpm, tpm });
    if (refusal) {
      markSpent(keyId, refusal);
      throw limitError(refusal);
    }
    this.#renewedAt = Date.now();
  }

  /** Replaces the estimate by `tokens`. */
  async correct(tokens: number): Promise<void> {
    if (this.#renewedAt === null) return;
    this.#renewedAt = Date.now();
    await this.#tenant.correct(this.#requestId, tokens);
  }

  /** Call it now and then while the answer runs, so that a long one keeps its reservation. */
  async renew(): Promise<void> {
    if (this.#renewedAt === null || Date.now() - this.#renewedAt < renewalMs) return;
    this.#renewedAt = Date.now();
    await this.#tenant.correct(this.#requestId, null);
  }

  /** Ends it. The usage row, if there is one, is safe when this returns. */
  async finish(settlement: Settlement, row: UsageRow | null): Promise<void> {
    const its = this.#renewedAt === null ? "unlimited" : settlement;
    await this.#tenant.finish(this.#requestId, its, row);
  }

  get #tenant() {
    return tenantObject(this.#env, this.#caller.tenantId);
  }
}
