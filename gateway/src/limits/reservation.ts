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

/** What a refusal says, in sentences. */
function told({ kind, of, limit, used, requested, retryAfterMs }: Refusal): string {
  const shown = kind === "cost" ? amountOf : String;
  const numbers = `Limit ${shown(limit)}, used ${shown(used)}, requested ${shown(requested)}`;
  if (retryAfterMs === null) {
    return `This request is larger than the ${of}'s limit on ${units[kind]}: ${numbers}. Lower max_tokens or shorten the prompt.`;
  }
  if (isBudget(kind)) {
    const what = kind === "cost" ? "money" : "tokens";
    const anew = new Date(Date.now() + retryAfterMs).toISOString().slice(0, 10);
    return used >= limit
      ? `The ${of} has spent this month's ${what}: ${numbers}. The budget begins anew on ${anew} (UTC).`
      : `This request is larger than what is left of the ${of}'s ${what} of this month: ${numbers}. Lower max_tokens; the budget begins anew on ${anew} (UTC).`;
  }
  return `Rate limit of the ${of} reached on ${units[kind]}: ${numbers}. Please try again in ${secondsOf(retryAfterMs)} s.`;
}

const secondsOf = (ms: number): number => Math.max(1, Math.ceil(ms / 1_000));

function limitError(refusal: Refusal, standing: Standing): ApiError {
  const { kind, retryAfterMs } = refusal;
  return new ApiError(429, told(refusal), {
    type: "rate_limit_error",
    code: isBudget(kind) ? "insufficient_quota" : "rate_limit_exceeded",
    headers: {
      ...(retryAfterMs !== null && { "retry-after": String(secondsOf(retryAfterMs)) }),
      // Waiting does not help, or not soon; SDKs would otherwise retry.
      ...((retryAfterMs === null || isBudget(kind)) && { "x-should-retry": "false" }),
      ...headersOf(standing),
    },
  });
}

/** OpenAI's headers about what is left; none if there are no limits of a minute. */
const headersOf = ({ requests, tokens }: Standing): Record<string, string> => ({
  ...(requests && leftHeaders("requests", requests)),
  ...(tokens && leftHeaders("tokens", tokens)),
});

const leftHeaders = (kind: "requests" | "tokens", { limit, remaining }: Left) => ({
  [`x-ratelimit-limit-${kind}`]: String(limit),
  [`x-ratelimit-remaining-${kind}`]: String(remaining),
  // What is counted now has left the window then.
  [`x-ratelimit-reset-${kind}`]: "1m0s",
});

interface Known {
  refusal: Refusal;
  standing: Standing;
  /** ms since the epoch. */
  until: number;
}

/**
 * Keys that have spent their requests: the refusal, and until when it holds. In this isolate only; it keeps a
 * key's further requests from costing more than a look into this map.
 */
const spent = new Map<string, Known>();
const maxSpent = 10_000;

function markSpent(keyId: string, refusal: Refusal, standing: Standing): void {
  if (refusal.kind !== "requests" || refusal.retryAfterMs === null) return;
  const [oldest] = spent.keys();
  if (spent.size >= maxSpent && oldest !== undefined) spent.delete(oldest);
  spent.set(keyId, { refusal, standing, until: Date.now() + refusal.retryAfterMs });
}

export class Reservation {
  readonly #env: Environment;
  readonly #caller: Caller;
  readonly #requestId: string;
  /** When the tenant's object last heard of it; null: there are no limits, nothing is reserved. */
  #renewedAt: number | null = null;
  #standing: Standing = { requests: null, tokens: null };
  /** A usage row says how the request ended. */
  hasRow = false;

  constructor(env: Environment, caller: Caller, requestId: string) {
    this.#env = env;
    this.#caller = caller;
    this.#requestId = requestId;
  }

  /** About what is left. */
  get headers(): Record<string, string> {
    return headersOf(this.#standing);
  }

  /** Throws a 429 ApiError if the key is known to have no requests left. Costs no call. */
  checkSpent(): void {
    const { keyId, limits } = this.#caller;
    const known = spent.get(keyId);
    if (!known) return;
    const retryAfterMs = known.until - Date.now();
    if (retryAfterMs > 0 && limits[known.refusal.of].rpm === known.refusal.limit) {
      throw limitError({ ...known.refusal, retryAfterMs }, known.standing);
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
    const { refusal, standing } = await this.#tenant.reserve(
      ...([this.#requestId, keyId, spend, limits] as const),
    );
    if (refusal) {
      markSpent(keyId, refusal, standing);
      throw limitError(refusal, standing);
    }
    this.#standing = standing;
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
