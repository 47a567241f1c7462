// One request's account: reserves before anything runs, is told what happened, and closes once,
// however the request ends.
import type { Usage } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import { ApiError } from "../api-error.ts";
import type { Caller } from "../auth/key-store.ts";
import { type Environment, tenantObject } from "../environment.ts";
import type { Settlement } from "../limits/tenant-object.ts";
import type { Refusal } from "../limits/window.ts";
import type { Tally } from "./token-tally.ts";
import type { UsageRow } from "./usage-row.ts";

export interface AccountFacts {
  requestId: string;
  model: string;
  endpoint: string;
  stream: boolean;
}

/** The tokens of an answer, as its usage block tells them. */
export interface Counts {
  promptTokens: number;
  completionTokens: number;
  visibleTokens: number;
  cachedTokens: number;
  steps: number;
  stages: number;
  branches: number;
}

const nothing: Counts = {
  promptTokens: 0,
  completionTokens: 0,
  visibleTokens: 0,
  cachedTokens: 0,
  steps: 0,
  stages: 0,
  branches: 0,
};

export function countsOf(usage: Usage): Counts {
  const { promptTokens, completionTokens, visibleTokens, cachedTokens } = usage;
  const { steps, stages, branches } = usage;
  const tokens = { promptTokens, completionTokens, visibleTokens, cachedTokens };
  return { ...tokens, steps, stages, branches };
}

/** For an answer that was cut off: what its events add up to. */
export function countsSoFar(promptTokens: number, cachedTokens: number, tally: Tally): Counts {
  return { promptTokens, cachedTokens, ...tally };
}

/** What choices took together. They share one prompt: the one that found least of it cached filled it. */
export function sumOfChoices(choices: readonly Counts[]): Counts {
  const sum = (of: (counts: Counts) => number) => choices.reduce((all, each) => all + of(each), 0);
  return {
    promptTokens: Math.max(...choices.map(({ promptTokens }) => promptTokens)),
    cachedTokens: Math.min(...choices.map(({ cachedTokens }) => cachedTokens)),
    completionTokens: sum(({ completionTokens }) => completionTokens),
    visibleTokens: sum(({ visibleTokens }) => visibleTokens),
    steps: sum(({ steps }) => steps),
    stages: sum(({ stages }) => stages),
    branches: sum(({ branches }) => branches),
  };
}

function limitError(refusal: Refusal): ApiError {
  const { kind, limit, used, requested, retryAfterMs } = refusal;
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

export class Account {
  readonly #env: Environment;
  readonly #caller: Caller;
  readonly #facts: AccountFacts;
  readonly #at: number;
  readonly #limited: boolean;
  #reserved = false;
  #closed: Promise<void> | undefined;
  #lastSign = 0;
  #startedMs: number | null = null;
  #firstTextMs: number | null = null;
  cache: "hit" | "miss" | "bypass" = "bypass";
  mode: "serial" | "parallel" = "serial";
  worker: string | null = null;

  constructor(env: Environment, caller: Caller, facts: AccountFacts, at: number) {
    this.#env = env;
    this.#caller = caller;
    this.#facts = facts;
    this.#at = at;
    this.#limited = caller.rpm !== null || caller.tpm !== null;
  }

  get facts(): AccountFacts {
    return this.#facts;
  }

  /** Throws a 429 ApiError where the key's minute has no room. */
  async reserve(tokens: number): Promise<void> {
    if (!this.#limited) return;
    const { keyId, rpm, tpm } = this.#caller;
    const { requestId } = this.#facts;
    const refusal = await this.#tenant.reserve(requestId, keyId, tokens, { rpm, tpm });
    if (refusal) throw limitError(refusal);
    this.#reserved = true;
    this.#lastSign = Date.now();
  }

  /** The answer has begun, and the prompt's length is known. */
  async started(tokens: number): Promise<void> {
    this.#startedMs = Date.now() - this.#at;
    if (!this.#reserved) return;
    this.#lastSign = Date.now();
    await this.#tenant.correct(this.#facts.requestId, tokens);
  }

  /** To be called now and then while the answer runs, so that a long one keeps its reservation. */
  async stillRunning(): Promise<void> {
    if (!this.#reserved || Date.now() - this.#lastSign < 60_000) return;
    this.#lastSign = Date.now();
    await this.#tenant.correct(this.#facts.requestId, null);
  }

  firstText(): void {
    this.#firstTextMs ??= Date.now() - this.#at;
  }

  /** The request was refused before anything ran: it costs nothing. */
  refused(status: number): Promise<void> {
    return this.#close("release", this.#row(status, nothing));
  }

  /** The request ended. A cache hit costs a request and no tokens. */
  ended(status: number, counts: Counts): Promise<void> {
    const tokens = this.cache === "hit" ? 0 : counts.promptTokens + counts.completionTokens;
    return this.#close({ tokens }, this.#row(status, counts));
  }

  get #tenant() {
    return tenantObject(this.#env, this.#caller.tenantId);
  }

  #row(status: number, counts: Counts): UsageRow {
    const { tenantId, keyId } = this.#caller;
    return {
      ...this.#facts,
      tenantId,
      keyId,
      at: this.#at,
      status,
      cache: this.cache,
      mode: this.mode,
      worker: this.worker,
      ...counts,
      startedMs: this.#startedMs,
      firstTextMs: this.#firstTextMs,
      totalMs: Date.now() - this.#at,
    };
  }

  /** Once: a request that failed after it ended stays ended. */
  #close(settlement: Settlement, row: UsageRow): Promise<void> {
    this.#closed ??= this.#tell(this.#reserved ? settlement : "unlimited", row);
    return this.#closed;
  }

  async #tell(settlement: Settlement, row: UsageRow): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#tenant.finish(row.requestId, settlement, row);
      } catch (error) {
        if (attempt === 3) throw error;
        await scheduler.wait(50 * 4 ** attempt);
      }
    }
  }
}
