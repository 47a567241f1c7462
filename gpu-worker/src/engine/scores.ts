// Log-probabilities of given tokens: a few at a time, because alternatives are read from all their logits.
import { setImmediate } from "node:timers/promises";
import type { Engine } from "@anabranch/native";
import {
  type VisibleToken,
  VisibleTokenSchema,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import { create } from "@bufbuild/protobuf";

/** Each waits on one of Node's four threads. */
const maxRunning = 2;
/** Of the logits that are in memory at once. While they are handed over there are two copies. */
const maxLogitBytes = 2 ** 31;
/** Rows that are read before others' answers go on. */
const rowsAtOnce = 32;

export interface ScoreRequest {
  tokenIds: readonly number[];
  /** Alternatives for each token; 0: none. */
  topLogprobs: number;
  /** Empty: the model itself. */
  adapter: string;
}

/** What the wire calls it, with a gRPC status name in `code`. */
class ScoreError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

interface Waiting {
  bytes: number;
  start: () => void;
}

export class Scores {
  readonly #engine: Engine;
  readonly #vocabulary: number;
  readonly #context: number;
  readonly #waiting: Waiting[] = [];
  #running = 0;
  #bytes = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
    const { vocabulary, context } = engine.info();
    this.#vocabulary = vocabulary;
    this.#context = context;
  }

  /**
   * The tokens with their log-probabilities, but for the first, which has none. `begun` is called once nothing can be
   * refused any more, `left` is asked before.
   * @throws Error with `code`, as the engine's
   */
  async of(request: ScoreRequest, left: () => boolean, begun: () => void): Promise<VisibleToken[]> {
    const { tokenIds, topLogprobs, adapter } = request;
    const bytes = topLogprobs > 0 ? 4 * tokenIds.length * this.#vocabulary : 0;
    this.#refuse(tokenIds.length, bytes);
    await this.#turn(bytes);
    try {
      if (left()) return [];
      const named = adapter === "" ? [] : [adapter];
      const scored = this.#engine.score([{ serial: tokenIds }], "sum", bytes > 0, ...named);
      begun();
      const { runs, logits } = await scored;
      const [run] = runs;
      const logprobs = run && "serial" in run ? run.serial : [];
      return await this.#tokens(tokenIds, logprobs, topLogprobs, logits ?? new Float32Array());
    } finally {
      this.#running--;
      this.#bytes -= bytes;
      this.#startNext();
    }
  }

  #refuse(tokens: number, bytes: number): void {
    if (tokens > this.#context) {
      throw new ScoreError(
        "out_of_range",
        `the prompt has ${tokens} tokens; the context is ${this.#context}`,
      );
    }
    if (bytes <= maxLogitBytes) return;
    const most = Math.floor(maxLogitBytes / 4 / this.#vocabulary);
    throw new ScoreError(
      "invalid_argument",
      `logprobs: of this model the alternatives of at most ${most} prompt tokens can be had at once, and the prompt has ${tokens}; ask for 'logprobs' 0, or shorten it`,
    );
  }

  #turn(bytes: number): Promise<void> {
    return new Promise((start) => {
      this.#waiting.push({ bytes, start });
      this.#startNext();
    });
  }

  #startNext(): void {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      if (this.#running === maxRunning || this.#bytes + next.bytes > maxLogitBytes) return;
      this.#waiting.shift();
      this.#running++;
      this.#bytes += next.bytes;
      next.start();
    }
  }

  async #tokens(
    ids: readonly number[],
    logprobs: readonly (number | null)[],
    count: number,
    logits: Float32Array,
  ): Promise<VisibleToken[]> {
    const out: VisibleToken[] = [];
    for (const [at, tokenId] of ids.entries()) {
      const logprob = logprobs[at];
      if (logprob === null || logprob === undefined) {
        out.push(create(VisibleTokenSchema, { tokenId }));
        continue;
      }
      // The logits of the token before.
      const row = logits.subarray((at - 1) * this.#vocabulary, at * this.#vocabulary);
      const top = count > 0 ? alternatives(row, count, tokenId, logprob) : [];
      out.push(create(VisibleTokenSchema, { tokenId, logprob, top }));
      if (count > 0 && at % rowsAtOnce === 0) await setImmediate();
    }
    return out;
  }
}

/** The `count` likeliest tokens, the first of equal ones first; `logprob` is that of `known`. */
function alternatives(row: Float32Array, count: number, known: number, logprob: number) {
  const best: number[] = [];
  const logit = (id: number) => row[id] ?? Number.NEGATIVE_INFINITY;
  let least = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < row.length; id++) {
    const value = logit(id);
    if (best.length === count && !(value > least)) continue;
    if (Number.isNaN(value)) continue;
    let place = best.length;
    while (place > 0 && logit(best[place - 1] ?? 0) < value) place--;
    best.splice(place, 0, id);
    if (best.length > count) best.pop();
    least = logit(best.at(-1) ?? 0);
  }
  // What is taken off all logits.
  const total = logit(known) - logprob;
  return best.map((tokenId) => ({
    tokenId,
    logprob: tokenId === known ? logprob : Math.fround(logit(tokenId) - total),
  }));
}
