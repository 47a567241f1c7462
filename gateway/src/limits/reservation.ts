// One request's share of the limits of its key and tenant: reserved before anything runs, corrected once the
// prompt's length is known, settled when the request ends.
import { ApiError } from "../api-error.ts";
import type { Caller } from "../auth/key-store.ts";
import { type Environment, tenantObject } from "../environment.ts";
import { amountOf } from "../prices/money.ts";
import type { UsageRow } from "../usage/usage-store.ts";
import { isLimited } from "./limits.ts";
import {
  type Left,
  nothing,
  type Refusal,
  type Settlement,
  type Spend,
  type Standing,
} from "./window.ts";

/** A long answer renews its reservation this often. */
const renewalMs = 60_000;

const units: Record<Refusal["kind"], string> = {
  requests: "requests per min (RPM)",
  tokens: "tokens per min (TPM)",
  concurrent: "requests at once",
  monthly: "tokens per month",
  cost: "money per month",
};
/** A calendar month's budgets. */
const isBudget = (kind: Refusal["kind"]) => kind === "monthly" || kind === "cost";

function limitError({ kind, of, limit, used, requested, retryAfterMs }: Refusal): ApiError {
  const shown = kind === "cost" ? amountOf : String;
  const numbers = `Limit ${shown(limit)}, used ${shown(used)}, requested ${shown(requested)}`;
  const code = isBudget(kind) ? "insufficient_quota" : "rate_limit_exceeded";
  const type = "rate_limit_error" as const;
  if (retryAfterMs === null) {
    // Waiting does not help; SDKs would otherwise retry.
    return new ApiError(
      429,
      `This request is larger than the ${of}'s limit on ${units[kind]}: ${numbers}. Lower max_tokens or shorten the prompt.`,
      { type, code, headers: { "x-should-retry": "false" } },
    );
  }
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1_000));
  const headers: Record<string, string> = { "retry-after": String(seconds) };
  if (isBudget(kind)) headers["x-should-retry"] = "false";
  if (kind === "requests" || kind === "tokens") {
    Object.assign(headers, leftHeaders(kind, { limit, remaining: Math.max(0, limit - used) }));
  }
  return new ApiError(
    429,
    `Rate limit of the ${of} reached on ${units[kind]}: ${numbers}. Please try again in ${seconds} s.`,
    { type, code, headers },
  );
}

const leftHeaders = (kind: "requests" | "tokens", { limit, remaining }: Left) => ({
  [`x-ratelimit-limit-${kind}`]: String(limit),
  [`x-ratelimit-remaining-${kind}`]: String(remaining),
  // What is counted now has left the window then.
  [`x-ratelimit-reset-${kind}`]: "1m0s",
});

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
  /** When the tenant's object last heard of it; null: there are no limits, nothing is reserved. */
  #renewedAt: number | null = null;
  #standing: Standing | null = null;
  /** A usage row says how the request ended. */
  hasRow = false;

  constructor(env: Environment, caller: Caller, requestId: string) {
    this.#env = env;
    this.#caller = caller;
    this.#requestId = requestId;
  }

  /** OpenAI's headers about what is left; none if there are no limits. */
  get headers(): Record<string, string> {
    const { requests = null, tokens = null } = this.#standing ?? {};
    return {
      ...(requests && leftHeaders("requests", requests)),
      ...(tokens && leftHeaders("tokens", tokens)),
    };
  }

  /** Throws a 429 ApiError if the key is known to have no requests left. Costs no call. */
  checkSpent(): void {
    const { keyId, limits } = this.#caller;
    const known = spent.get(keyId);
    if (!known) return;
    const retryAfterMs = known.until - Date.now();
    if (retryAfterMs > 0 && limits[known.refusal.of].rpm === known.refusal.limit) {
      throw limitError({ ...known.refusal, retryAfterMs });
    }
    spent.delete(keyId);
  }

  /**
   * Counts a request that reserves nothing, because it needs no model or was refused: it costs a request and no
   * tokens. Throws a 429 ApiError if there is none left.
   */
  async countRequest(): Promise<void> {
    const { key, tenant } = this.#caller.limits;
    if (this.#renewedAt !== null || (key.rpm === null && tenant.rpm === null)) return;
    await this.reserve(nothing);
    await this.finish(nothing, null);
  }

  /** Throws a 429 ApiError if the key or its tenant has no room for `spend`. */
  async reserve(spend: Spend): Promise<void> {
    const { keyId, limits } = this.#caller;
    if (!isLimited(limits.key) && !isLimited(limits.tenant)) return;
    const reserved = await this.#tenant.reserve(this.#requestId, keyId, spend, limits);
    if (reserved.refusal) {
      markSpent(keyId, reserved.refusal);
      throw limitError(reserved.refusal);
    }
    this.#standing = reserved.standing;
    this.#renewedAt = Date.now();
  }

  /** Replaces the estimate by `spend`. */
  async correct(spend: Spend): Promise<void> {
    if (this.#renewedAt === null) return;
    this.#renewedAt = Date.now();
    await this.#tenant.correct(this.#requestId, spend);
  }

  /** Call it now and then while the answer runs, so that a long one keeps its reservation. */
  async renew(): Promise<void> {
    if (this.#renewedAt === null || Date.now() - this.#renewedAt < renewalMs) return;
    this.#renewedAt = Date.now();
    await this.#tenant.correct(this.#requestId, null);
  }

  /** Ends it. The usage row, if there is one, is safe when this returns. */
  async finish(settlement: Settlement, row: UsageRow | null): Promise<void> {
    this.hasRow ||= row !== null;
    await this.#tenant.finish(this.#requestId, this.#caller.keyId, settlement, row);
  }

  get #tenant() {
    return tenantObject(this.#env, this.#caller.tenantId);
  }
}
