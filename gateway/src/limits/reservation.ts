// One request's share of its key's limits: reserved before anything runs, corrected once the prompt's
// length is known, settled when the request ends.
import { ApiError } from "../api-error.ts";
import type { Caller } from "../auth/key-store.ts";
import { type Environment, tenantObject } from "../environment.ts";
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
      { ...options, headers: { "retry-after": "60", "x-should-retry": "false" } },
    );
  }
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1_000));
  return new ApiError(
    429,
    `Rate limit reached on ${unit}: ${numbers}. Please try again in ${seconds} s.`,
    { ...options, headers: { "retry-after": String(seconds) } },
  );
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

  /** Throws a 429 ApiError if the key has no room for `tokens` in this minute. */
  async reserve(tokens: number): Promise<void> {
    const { keyId, rpm, tpm } = this.#caller;
    if (rpm === null && tpm === null) return;
    const refusal = await this.#tenant.reserve(this.#requestId, keyId, tokens, { rpm, tpm });
    if (refusal) throw limitError(refusal);
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

  /** The same settlement, or "unlimited" if nothing was reserved. */
  settlement(settlement: Settlement): Settlement {
    return this.#renewedAt === null ? "unlimited" : settlement;
  }

  get #tenant() {
    return tenantObject(this.#env, this.#caller.tenantId);
  }
}
