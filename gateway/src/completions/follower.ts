// A request that follows an equal one, and takes its place when that one is lost.
import type {
  Event,
  GenerateResponse,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { ApiError } from "../api-error.ts";
import type { MessageStream } from "../cache/frames.ts";
import type { OpenedAnswer, SharedAnswer } from "../cache/shared-answer.ts";
import type { TenantContext } from "../http/context.ts";
import { type AnswerStream, startedIn } from "../routing/worker-stream.ts";
import type { UsageRecorder } from "../usage/usage-recorder.ts";
import type { AnswerRequest } from "./answer-request.ts";
import type { Reopen, Source } from "./choice.ts";
import type { Decoding } from "./decoding.ts";
import { idempotencyBusy, idempotencyConflict } from "./idempotency.ts";

/** How many leaders a request may lose before its answer has begun. */
const maxLost = 3;

export type Followed =
  | { kind: "lead" }
  | { kind: "hit"; logs: GenerateResponse[][] }
  | { kind: "follow"; source: Source };

export class Follower {
  readonly #shared: SharedAnswer;
  readonly #request: AnswerRequest;
  readonly #context: TenantContext;
  readonly #decoding: Decoding;
  readonly #usage: UsageRecorder;
  /** The messages of its choice, once that has begun: what it tells others when it leads. */
  log: readonly GenerateResponse[] = [];
  /** As a worker's stream would be opened again, once this request leads. */
  #reopenOwn: Reopen | null = null;

  constructor(
    shared: SharedAnswer,
    request: AnswerRequest,
    context: TenantContext,
    decoding: Decoding,
    usage: UsageRecorder,
  ) {
    this.#shared = shared;
    this.#request = request;
    this.#context = context;
    this.#decoding = decoding;
    this.#usage = usage;
  }

  async open(): Promise<Followed> {
    const { signal } = this.#context;
    for (let lost = 0; ; lost++) {
      const opened = await this.#ask();
      if (opened.kind !== "follow") return opened;
      try {
        const stream = await begun(opened.stream, signal);
        const reopen: Reopen = (events, left) => this.#reopen(events, left);
        return { kind: "follow", source: { kind: "stream", stream, reopen } };
      } catch (error) {
        if (signal.aborted || lost === maxLost) throw error;
      }
    }
  }

  async #ask(): Promise<Exclude<OpenedAnswer, { kind: "conflict" }>> {
    const opened = await this.#shared.open();
    if (opened.kind === "conflict") throw idempotencyConflict();
    // Choices can't be followed.
    const { settings, prompts } = this.#request;
    if (opened.kind === "follow" && settings.n * prompts.length > 1) {
      opened.stream.cancel();
      throw idempotencyBusy();
    }
    return opened;
  }

  /** The same answer from its beginning: kept by now, of another leader, or decoded by this request itself. */
  async #reopen(events: readonly Event[], signal: AbortSignal): Promise<AnswerStream> {
    if (this.#reopenOwn) return await this.#reopenOwn(events, signal);
    const opened = await this.#ask();
    if (opened.kind === "hit") return logStream(opened.logs[0] ?? []);
    if (opened.kind === "follow") return await begun(opened.stream, signal);
    this.#usage.cache = "miss";
    try {
      const [source] = await this.#decoding.open(signal);
      if (source?.kind !== "stream") throw new Error("no choice was opened");
      this.#reopenOwn = source.reopen;
      this.#context.waitUntil(this.#shared.tell(this.log));
      return source.stream;
    } catch (error) {
      await this.#shared.abandon();
      throw error;
    }
  }
}

/** The stream of an answer that equal requests share, once it has started. */
async function begun(
  { messages, cancel }: MessageStream,
  signal: AbortSignal,
): Promise<AnswerStream> {
  signal.addEventListener("abort", cancel);
  const head: GenerateResponse[] = [];
  try {
    for (;;) {
      const next = await messages.next();
      if (next.done) throw new Error("the answer ended before it began");
      head.push(next.value);
      const started = startedIn(next.value);
      if (started) return { started, head, rest: messages, cancel, failed: nothing, ended: cancel };
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new ApiError(499, "The client left.", { code: "client_closed" });
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

const nothing = () => undefined;

function logStream(log: readonly GenerateResponse[]): AnswerStream {
  const [first] = log;
  const started = first ? startedIn(first) : null;
  if (!started) throw new Error("a kept answer has no beginning");
  const rest = (async function* () {
    yield* log;
  })();
  return { started, head: [], rest, cancel: nothing, failed: nothing, ended: nothing };
}
