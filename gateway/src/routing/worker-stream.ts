// Opens the stream of an answer: on the best worker, or on another while nothing has started.
import type {
  GenerateResponse,
  Started,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { Code, ConnectError } from "@connectrpc/connect";
import { ApiError, badField } from "../api-error.ts";
import type { PoolWorker } from "../pool/pool.ts";
import { fieldMetadata } from "../upstreams/refusal.ts";
import { reportFailure, reportSuccess } from "./breaker.ts";
import { generate, type WorkerRequest } from "./generate.ts";
import { type Coming, router } from "./router.ts";
import { takeTurn } from "./turns.ts";

/** How long a request may wait for `started`, over all workers. */
const startMs = 30_000;
/** How long a worker may stay silent, without even a heartbeat, while others could be tried. */
const firstMessageMs = 5_000;

/** How long an answer that has started may be silent: many times as long as a worker's heartbeats take. */
const silenceMs = 3_000;
const lookMs = 500;

/** An answer that has started. */
export interface AnswerStream {
  started: Started;
  /** The messages so far. The last one holds `started`. */
  head: GenerateResponse[];
  rest: AsyncIterator<GenerateResponse>;
  /** Stops it: a worker stops at its next step. */
  cancel(): void;
  /** Call it if the stream failed. */
  failed(): void;
  /** Call it when the stream is over, however it ended. */
  ended(): void;
}

/** One that a worker decodes. */
export interface WorkerStream extends AnswerStream {
  worker: PoolWorker;
}

export function startedIn(message: GenerateResponse): Started | null {
  for (const { event } of message.events) if (event.case === "started") return event.value;
  return null;
}

/**
 * A worker's messages. One that falls silent is given up: `cancel` is called, and the next message fails. Time in which
 * this isolate was too busy to look does not count.
 */
class Watched implements AsyncIterator<GenerateResponse> {
  readonly #workerId: string;
  readonly #messages: AsyncIterator<GenerateResponse>;
  readonly #timer: ReturnType<typeof setInterval>;
  /** null: nobody waits for a message. */
  #waitsSince: number | null = null;
  #lookedAt = Date.now();

  constructor(workerId: string, messages: AsyncIterator<GenerateResponse>, cancel: () => void) {
    this.#workerId = workerId;
    this.#messages = messages;
    this.#timer = setInterval(() => {
      const now = Date.now();
      const late = Math.max(0, now - this.#lookedAt - lookMs);
      this.#lookedAt = now;
      if (this.#waitsSince === null) return;
      this.#waitsSince += late;
      if (now - this.#waitsSince > silenceMs) cancel();
    }, lookMs);
  }

  async next(): Promise<IteratorResult<GenerateResponse>> {
    this.#waitsSince = Date.now();
    try {
      const next = await this.#messages.next();
      router.heard(this.#workerId);
      return next;
    } finally {
      this.#waitsSince = null;
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

/** Of a request at a worker. */
interface Place {
  /** Call it with the worker's first message: others of the tenant may go there now. */
  heard(): void;
  /** Call it when the answer is over, however it ended: until then it counts there. */
  ended(): void;
}

/** Waits for the tenant's turn at the worker. null: `signal` was aborted before. */
async function placeAt(
  worker: PoolWorker,
  tenant: string,
  coming: Coming,
  signal: AbortSignal,
): Promise<Place | null> {
  const ended = router.begin(worker.id, coming);
  try {
    return { heard: await takeTurn(tenant, worker, signal), ended };
  } catch {
    ended();
    return null;
  }
}

/** Tries one worker. Throws the error that ended the call: a ConnectError if the worker refused. */
async function attempt(
  worker: PoolWorker,
  request: WorkerRequest,
  deadline: number,
  hurry: boolean,
  signal: AbortSignal,
  { heard, ended }: Place,
): Promise<WorkerStream> {
  const controller = new AbortController();
  const cancel = () => controller.abort();
  signal.addEventListener("abort", cancel);
  let timer: ReturnType<typeof setTimeout> | null = null;
  const allow = (ms: number) => {
    clearTimeout(timer);
    timer = setTimeout(cancel, ms);
  };
  try {
    const left = deadline - Date.now();
    allow(hurry ? Math.min(firstMessageMs, left) : left);
    const stream = generate(worker, request, controller.signal);
    const rest = stream[Symbol.asyncIterator]();
    const head: GenerateResponse[] = [];
    for (;;) {
      const next = await rest.next();
      if (next.done) throw new ConnectError("the stream ended before it began", Code.Unavailable);
      heard();
      head.push(next.value);
      const started = startedIn(next.value);
      if (!started) {
        allow(deadline - Date.now());
        continue;
      }
      const failed = () => reportFailure(worker);
      // An upstream has no heartbeats.
      if (worker.upstream) return { worker, started, head, rest, cancel, failed, ended };
      const watched = new Watched(worker.id, rest, cancel);
      const close = () => {
        watched.close();
        ended();
      };
      return { worker, started, head, rest: watched, cancel, failed, ended: close };
    }
  } catch (error) {
    cancel();
    ended();
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", cancel);
  }
}

/** Request fields that only a worker can check, because it knows the model. */
const workerFields = new Set([
  ...["echo", "logprobs", "top_logprobs", "logit_bias", "seed", "anabranch"],
  ...["stop", "stop_token_ids", "min_tokens", "max_tokens"],
  ...["response_format", "guided_regex", "guided_choice", "tools"],
]);

/** The field, or path, that a refusal names; undefined: the prompt, or one among several. */
function fieldOf({ rawMessage, metadata }: ConnectError): string | undefined {
  const [path] = /^\w+(\[\d+\]|\.\w+)*/.exec(metadata.get(fieldMetadata) ?? rawMessage) ?? [];
  const [root = ""] = path?.split(/[.[]/) ?? [];
  return workerFields.has(root) ? path : undefined;
}

/** A refusal that every other worker would repeat, in a chat's names; null for any other error. */
export function refusal(error: ConnectError, promptField: string): ApiError | null {
  const { code, rawMessage } = error;
  const field = fieldOf(error) ?? promptField;
  if (code === Code.OutOfRange) return badField(field, rawMessage, "context_length_exceeded");
  if (code !== Code.InvalidArgument && code !== Code.FailedPrecondition) return null;
  return badField(field, rawMessage);
}

const unavailable = (message: string, code: string, retryAfter = 1) =>
  new ApiError(503, message, { code, headers: { "retry-after": String(retryAfter) } });

/** No worker could be reached, but one may be in a moment: a process restarts. */
export class WorkersAwayError extends ApiError {}

/** Whether the worker, or its engine, may be back in a moment. Else it answers, and says that it can't. */
const mayReturn = ({ code, metadata }: ConnectError) =>
  code !== Code.Unavailable || metadata.has("engine-restarting");

/** After how many seconds a full worker expects to have room. */
function retryAfterOf({ metadata }: ConnectError): number {
  const seconds = Number(metadata.get("retry-after") ?? 1);
  return Number.isFinite(seconds) ? Math.min(600, Math.max(1, Math.ceil(seconds))) : 1;
}

/** Says it the first time, the second, the fourth and so on: every waiting request tries a worker that is away. */
function logFailure(workerId: string, times: number, message: string): void {
  if (!Number.isInteger(Math.log2(times))) return;
  const often = times > 1 ? `, ${times} times in a row` : "";
  console.warn(`worker ${workerId} did not begin an answer${often}: ${message}`);
}

/**
 * Opens the stream on the first of `workers` that starts the answer. `promptField` is what the client
 * calls its prompt. Throws ApiError: the refusal of a worker, or 503 if none could.
 */
export async function openStream(
  workers: readonly PoolWorker[],
  request: WorkerRequest,
  promptField: string,
  coming: Coming,
  signal: AbortSignal,
): Promise<WorkerStream> {
  const deadline = Date.now() + startMs;
  let retryAfter: number | null = null; // seconds: the minimum over workers that are full
  let away = false;
  const waiting = AbortSignal.any([signal, AbortSignal.timeout(startMs)]);
  for (const [index, worker] of workers.entries()) {
    const place = await placeAt(worker, request.tenant ?? "", coming, waiting);
    if (!place) break;
    try {
      const hurry = index < workers.length - 1;
      const stream = await attempt(worker, request, deadline, hurry, signal, place);
      reportSuccess(worker);
      return stream;
    } catch (error) {
      if (signal.aborted) break;
      const cause = ConnectError.from(error);
      const refused = refusal(cause, promptField);
      if (refused) throw refused;
      if (cause.code === Code.ResourceExhausted) {
        retryAfter = Math.min(retryAfter ?? Number.POSITIVE_INFINITY, retryAfterOf(cause));
      }
      // The worker answers and knows its models better than we do: nothing is broken.
      else if (cause.code !== Code.NotFound) {
        logFailure(worker.id, reportFailure(worker), cause.message);
        away ||= mayReturn(cause);
      }
    } finally {
      place.heard();
    }
  }
  if (signal.aborted) throw new ApiError(499, "The client left.", { code: "client_closed" });
  if (waiting.aborted || Date.now() >= deadline) {
    throw unavailable("No worker began in time; try again.", "timeout");
  }
  if (retryAfter !== null) {
    throw unavailable("The model is overloaded; try again.", "overloaded", retryAfter);
  }
  const none = unavailable("No worker with this model can be reached; try again.", "no_worker");
  throw away ? new WorkersAwayError(none.status, none.message, none) : none;
}
