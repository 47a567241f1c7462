// Log-probabilities of given tokens, a few requests at a time.
import type { Engine, Score } from "@anabranch/native";
import {
  type VisibleToken,
  VisibleTokenSchema,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import { create } from "@bufbuild/protobuf";

/** Each waits on one of Node's four threads. */
const maxRunning = 2;

export interface ScoreRequest {
  /** No request of the engine has it. */
  id: number;
  tokenIds: readonly number[];
  /** Alternatives for each token; 0: none. */
  topLogprobs: number;
  /** Empty: the model itself. */
  adapter: string;
}

/** Of more tokens than the context, with a gRPC status name in `code`. */
class TooLong extends Error {
  readonly code = "out_of_range";
}

export class Scores {
  readonly #engine: Engine;
  readonly #context: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#context = engine.info().context;
  }

  /**
   * The tokens with their log-probabilities, but for the first, which has none. `begun` is called once nothing can be
   * refused any more. After `signal` the engine computes no further chunk, and there are no tokens.
   * @throws Error with `code`, as the engine's
   */
  async of(request: ScoreRequest, signal: AbortSignal, begun: () => void): Promise<VisibleToken[]> {
    const { id, tokenIds, topLogprobs, adapter } = request;
    if (tokenIds.length > this.#context) {
      const message = `the prompt has ${tokenIds.length} tokens; the context is ${this.#context}`;
      throw new TooLong(message);
    }
    await this.#turn();
    const cancel = () => this.#engine.cancel(id);
    try {
      if (signal.aborted) return [];
      const named = adapter === "" ? {} : { adapter };
      const scored = this.#engine.score([{ serial: tokenIds }], "sum", {
        ...{ id, topLogprobs, ...named },
      });
      signal.addEventListener("abort", cancel, { once: true });
      begun();
      const { runs, top } = await scored;
      const [run] = runs;
      const logprobs = run && "serial" in run ? run.serial : [];
      return tokenIds.map((tokenId, at) => {
        const logprob = logprobs[at];
        if (logprob === null || logprob === undefined)
          return create(VisibleTokenSchema, { tokenId });
        return create(VisibleTokenSchema, {
          tokenId,
          logprob,
          top: alternatives(top, at, tokenIds.length),
        });
      });
    } catch (error) {
      if (signal.aborted) return [];
      throw error;
    } finally {
      signal.removeEventListener("abort", cancel);
      this.#running--;
      this.#startNext();
    }
  }

  #turn(): Promise<void> {
    return new Promise((start) => {
      this.#waiting.push(start);
      this.#startNext();
    });
  }

  #startNext(): void {
    const next = this.#running < maxRunning ? this.#waiting.shift() : undefined;
    if (!next) return;
    this.#running++;
    next();
  }
}

/** Those of one of `tokens` tokens. */
function alternatives(top: Score["top"], at: number, tokens: number) {
  const { ids, logprobs } = top ?? { ids: new Int32Array(), logprobs: new Float32Array() };
  const count = ids.length / tokens;
  return Array.from(ids.subarray(at * count, (at + 1) * count), (tokenId, n) => ({
    tokenId,
    logprob: logprobs[at * count + n] ?? 0,
  }));
}
