// One choice of an answer: its lane events, from whichever workers it takes, as a document.

import { AnswerDocument, LaneEventError } from "@anabranch/shared/answer-document.ts";
import { FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import {
  type Echo,
  type Event,
  type Finished,
  type GenerateResponse,
  Thinking,
  type TokenLogprob,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { type ToolFormat, toolFormatOf } from "@anabranch/shared/tool-formats.ts";
import type { AnswerChange } from "../aggregation/presenter.ts";
import { Replay, ReplayError } from "../aggregation/replay.ts";
import { ApiError } from "../api-error.ts";
import type { AnswerStream } from "../routing/worker-stream.ts";
import { type Counts, countsOf } from "../usage/counts.ts";
import { TokenTally } from "../usage/token-tally.ts";

/** Opens the same choice again, from wherever it can be had, to continue after `events`; rejects if it can't. */
export type Reopen = (events: readonly Event[], signal: AbortSignal) => Promise<AnswerStream>;

/**
 * What a choice is read from: a stream, of a worker or of an equal request, or the log of a cached answer. One that
 * begins later, because many are asked for, opens its stream when it is read.
 */
export type Source =
  | { kind: "stream"; stream: AnswerStream; reopen: Reopen }
  | { kind: "later"; open: (signal: AbortSignal) => Promise<OpenSource> }
  | { kind: "log"; log: readonly GenerateResponse[] };

export type OpenSource = Source & { kind: "stream" };

/** How often one choice may lose its worker. */
const maxLosses = 3;

const isHeartbeat = ({ event }: Event) => event.case === "heartbeat";

/** A choice that has begun. */
export class Choice {
  /** Its index in the answer; also part of the engine's random numbers. */
  readonly index: number;
  readonly document = new AnswerDocument<TokenLogprob>();
  readonly #tally = new TokenTally();
  readonly #requestId: string;
  readonly #source: Source;
  readonly #log: GenerateResponse[] = [];
  readonly #cancelled = new AbortController();
  #begun = false;
  #promptTokens = 0;
  #cachedTokens = 0;
  #modelDigest = "";
  #echo: Echo | null = null;
  #toolFormat = "";
  #thinking = Thinking.UNSPECIFIED;
  #finished: Finished | undefined;
  #stream: AnswerStream | null;

  constructor(requestId: string, index: number, source: Source) {
    this.#requestId = requestId;
    this.index = index;
    this.#source = source;
    this.#stream = source.kind === "stream" ? source.stream : null;
  }

  /** Every message so far but heartbeats. */
  get log(): readonly GenerateResponse[] {
    return this.#log;
  }

  /** Of the build that answered. */
  get modelDigest(): string {
    return this.#modelDigest;
  }

  /** The prompt, if the answer begins with it. */
  get echo(): Echo | null {
    return this.#echo;
  }

  /** The token that ended it, which is no text, if its log-probability was requested. */
  get end(): TokenLogprob | undefined {
    return this.#finished?.end;
  }

  /** How its calls of tools are written; undefined if it has none. */
  get toolFormat(): ToolFormat | undefined {
    return toolFormatOf(this.#toolFormat);
  }

  /** Whether its text may begin with what the model thinks. */
  get thinking(): Thinking {
    return this.#thinking;
  }

  /** Whether the facts of its beginning are known. */
  get begun(): boolean {
    return this.#begun;
  }

  /** The stop string that ended it; empty if none did. */
  get stopString(): string {
    return this.#finished?.stopString ?? "";
  }

  /** Why it ended. */
  get reason(): FinishReason {
    return this.#finished?.reason ?? FinishReason.STOP;
  }

  /** The tokens so far; after the end, what the usage block says. */
  get counts(): Counts {
    if (this.#finished?.usage) return countsOf(this.#finished.usage);
    const promptTokens = this.#promptTokens;
    return { promptTokens, cachedTokens: this.#cachedTokens, ...this.#tally.counts };
  }

  /**
   * The choice's changes, step by step. An empty step is a heartbeat. Throws ApiError if the choice can't
   * be completed.
   */
  async *steps(): AsyncGenerator<AnswerChange[]> {
    try {
      for await (const message of this.#messages()) yield this.#apply(message);
    } catch (error) {
      if (error instanceof ApiError) throw error;
      if (this.#cancelled.signal.aborted) {
        throw new ApiError(499, "The client left.", { code: "client_closed" });
      }
      console.error(`request ${this.#requestId} failed`, error);
      throw new ApiError(502, "The worker was lost in the middle of the answer.", {
        code: "worker_lost",
      });
    } finally {
      this.#stream?.ended();
    }
  }

  /** All messages until it has finished, from as many workers as it takes. */
  async *#messages(): AsyncGenerator<GenerateResponse> {
    if (this.#source.kind === "log") return yield* this.#source.log;
    const { reopen } = await this.#opened(this.#source);
    let replay: Replay | null = null;
    for (let losses = 0; ; ) {
      try {
        for await (const message of messagesOf(this.#stream)) {
          yield replay ? restOf(message, replay) : message;
          if (this.#finished) return;
        }
        throw new Error("the stream ended before the answer did");
      } catch (error) {
        if (!this.#stream || this.#cancelled.signal.aborted) throw error;
        if (error instanceof ReplayError || error instanceof LaneEventError) throw error;
        if (error instanceof ApiError) throw error;
        this.#stream.failed();
        this.#stream.cancel();
        this.#stream.ended();
        if (++losses > maxLosses) throw error;
        console.warn(
          `request ${this.#requestId} lost its worker and continues elsewhere: ${error}`,
        );
        const events = this.#log.flatMap((each) => each.events);
        const stream = await reopen(events, this.#cancelled.signal).catch(() =>
          Promise.reject(error),
        );
        this.#stream = stream;
        replay = new Replay(events);
      }
    }
  }

  async #opened(source: Exclude<Source, { kind: "log" }>): Promise<OpenSource> {
    if (source.kind === "stream") return source;
    const opened = await source.open(this.#cancelled.signal);
    this.#stream = opened.stream;
    return opened;
  }

  #apply(message: GenerateResponse): AnswerChange[] {
    if (!message.events.every(isHeartbeat)) this.#log.push(message);
    const changes: AnswerChange[] = [];
    for (const each of message.events) {
      const { event } = each;
      if (event.case === "started") {
        this.#promptTokens = event.value.promptTokens;
        this.#cachedTokens = event.value.cachedTokens;
        this.#modelDigest = event.value.modelDigest;
        this.#toolFormat = event.value.toolFormat;
        this.#thinking = event.value.thinking;
        this.#begun = true;
      }
      if (event.case === "echo") this.#echo = event.value;
      this.#tally.add(each);
      const change = this.document.apply(event);
      if (event.case === "finished") this.#finish(event.value);
      if (change) changes.push(change);
    }
    return changes;
  }

  #finish(finished: Finished): void {
    this.#finished = finished;
    if (finished.reason === FinishReason.CANCELLED) {
      throw new ApiError(502, "The worker cancelled the answer.", { code: "worker_cancelled" });
    }
  }

  /** Stops the worker at its next step. */
  cancel(): void {
    this.#cancelled.abort();
    this.#stream?.cancel();
  }
}

async function* messagesOf(stream: AnswerStream | null): AsyncGenerator<GenerateResponse> {
  if (!stream) return;
  yield* stream.head;
  for (let next = await stream.rest.next(); !next.done; next = await stream.rest.next()) {
    yield next.value;
  }
}

/** A message without what the client has already. */
function restOf(message: GenerateResponse, replay: Replay): GenerateResponse {
  const isRepeated = ({ event }: Event) => event.case === "started";
  const events = message.events.flatMap((event) =>
    isRepeated(event) ? [] : (replay.rest(event) ?? []),
  );
  return { ...message, events };
}
