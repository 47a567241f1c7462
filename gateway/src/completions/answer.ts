// One answer: from a validated request to a stream of lane events, through limits, cache, classifier
// and routing, in that order.
import {
  type Event,
  type Finished,
  FinishReason,
  type GenerateResponse,
  Mode,
} from "@anabranch/shared/proto/anabranch/v1/generate_pb.js";
import { AnswerDocument, type Change, LaneEventError } from "../aggregation/document.ts";
import { Replay, ReplayError } from "../aggregation/replay.ts";
import { resumeOf } from "../aggregation/resume.ts";
import { ApiError, badField } from "../api-error.ts";
import { keyedHash } from "../auth/api-key.ts";
import type { Caller } from "../auth/key-store.ts";
import { answerKey } from "../cache/answer-key.ts";
import { recall, remember } from "../cache/answer-log.ts";
import { version as classifierVersion, classify } from "../classifier/classifier.ts";
import type { Environment } from "../environment.ts";
import { type Model, type PoolView, poolView } from "../pool/pool-view.ts";
import { reportFailure } from "../routing/breaker.ts";
import { candidates } from "../routing/candidates.ts";
import { openStream, type WorkerRequest, type WorkerStream } from "../routing/worker-stream.ts";
import { Account, type Counts, countsOf, countsSoFar } from "../usage/account.ts";
import type { Settings } from "./parameters.ts";

export interface AnswerRequest {
  requestId: string;
  endpoint: "chat.completions" | "completions";
  model: string;
  input: NonNullable<WorkerRequest["input"]>;
  /** What the client calls its prompt: `messages` or `prompt`. */
  promptField: string;
  /** The prompt's bytes in UTF-8 with an allowance for its template: no fewer than its tokens. */
  promptBytes: number;
  /** What the classifier judges by; null: nothing to judge. */
  question: string | null;
  settings: Settings;
}

export interface Surroundings {
  env: Environment;
  caller: Caller;
  /** When the request came. */
  at: number;
  /** Aborted when the client leaves, where the platform says so. */
  signal: AbortSignal;
  waitUntil(promise: Promise<unknown>): void;
}

/** More bytes than this for each token of the model's context can't be a prompt that fits; they are
 * refused here, as a worker would have to tokenize megabytes to say the same. */
const bytesPerToken = 64;

/** How long an answer that lost its worker looks for another: an engine restarts in about a second. */
const reopenMs = 10_000;
const reopenPauseMs = 250;

const isHeartbeat = ({ event }: Event) => event.case === "heartbeat";

function findModel(view: PoolView, id: string): Model {
  const models = view.workers.flatMap((worker) => worker.models.filter((each) => each.id === id));
  const [model] = models;
  if (!model) {
    throw new ApiError(404, `The model '${id}' does not exist or you do not have access to it.`, {
      param: "model",
      code: "model_not_found",
    });
  }
  return model;
}

/** The model as this isolate knows it, else as the pool knows it now: workers come at any moment. */
async function viewWith(
  around: Surroundings,
  id: string,
): Promise<{ view: PoolView; model: Model }> {
  const { env, waitUntil } = around;
  const view = await poolView(env, waitUntil);
  if (candidates(view, id).length > 0) return { view, model: findModel(view, id) };
  const newest = await poolView(env, waitUntil, true);
  return { view: newest, model: findModel(newest, id) };
}

/** Keeps a complete answer; never rejects. */
type Store = (log: readonly GenerateResponse[]) => Promise<void>;

/** Opens the same answer on some worker once more, `told` so far; rejects where none can. */
type Reopen = (told: readonly Event[], signal: AbortSignal) => Promise<WorkerStream>;

/** What an answer is read from: a worker's stream, or a log that was kept. */
type Source =
  | { kind: "stream"; stream: WorkerStream; reopen: Reopen }
  | { kind: "log"; log: readonly GenerateResponse[] };

/** How often one answer may lose its worker. */
const mostLosses = 3;

/** An answer that has begun. */
export class Answer {
  readonly requestId: string;
  readonly model: string;
  readonly document = new AnswerDocument();
  readonly account: Account;
  readonly createdAt: number;
  #promptTokens = 0;
  #cachedTokens = 0;
  #finished: Finished | undefined;
  readonly #log: GenerateResponse[] = [];
  readonly #source: Source;
  readonly #store: Store | null;
  readonly #cancelled = new AbortController();
  #stream: WorkerStream | null;
  #stored: Promise<void> = Promise.resolve();

  constructor(
    request: AnswerRequest,
    account: Account,
    at: number,
    source: Source,
    store: Store | null,
  ) {
    this.requestId = request.requestId;
    this.model = request.model;
    this.account = account;
    this.createdAt = Math.floor(at / 1_000);
    this.#source = source;
    this.#stream = source.kind === "stream" ? source.stream : null;
    this.#store = store;
  }

  /** Resolves when a complete answer is in the cache, where it belongs there. */
  get stored(): Promise<void> {
    return this.#stored;
  }

  get finished(): Finished | undefined {
    return this.#finished;
  }

  /**
   * The answer's changes, a step at a time; an empty step is a worker's sign of life. Throws ApiError
   * where the answer can't be brought to its end.
   */
  async *steps(): AsyncGenerator<Change[]> {
    try {
      for await (const message of this.#messages()) yield this.#apply(message);
      if (this.#store) this.#stored = this.#store(this.#log);
    } catch (error) {
      if (error instanceof ApiError) throw error;
      if (this.#cancelled.signal.aborted) {
        throw new ApiError(499, "The client left.", { code: "client_closed" });
      }
      console.error(`request ${this.requestId} was lost`, error);
      throw new ApiError(502, "The worker was lost in the middle of the answer.", {
        code: "worker_lost",
      });
    } finally {
      this.#stream?.ended();
    }
  }

  /** Until the answer has finished, from as many workers as it takes. */
  async *#messages(): AsyncGenerator<GenerateResponse> {
    if (this.#source.kind === "log") return yield* this.#source.log;
    const { reopen } = this.#source;
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
        reportFailure(this.#stream.worker);
        this.#stream.cancel();
        this.#stream.ended();
        if (++losses > mostLosses) throw error;
        console.warn(`request ${this.requestId} lost its worker and goes on elsewhere: ${error}`);
        const told = this.#log.flatMap(({ events }) => events);
        const stream = await reopen(told, this.#cancelled.signal).catch(() =>
          Promise.reject(error),
        );
        this.#stream = stream;
        this.account.worker = stream.worker.id;
        replay = new Replay(told);
      }
    }
  }

  #apply(message: GenerateResponse): Change[] {
    if (!message.events.every(isHeartbeat)) this.#log.push(message);
    const changes: Change[] = [];
    for (const event of message.events) {
      if (event.event.case === "started") {
        this.#promptTokens = event.event.value.promptTokens;
        this.#cachedTokens = event.event.value.cachedTokens;
      }
      const change = this.document.apply(event);
      if (!change) continue;
      if (change.kind === "finished") this.#finish(change.finished);
      changes.push(change);
    }
    return changes;
  }

  #finish(finished: Finished): void {
    this.#finished = finished;
    if (finished.reason === FinishReason.CANCELLED) {
      throw new ApiError(502, "The worker cancelled the answer.", { code: "worker_cancelled" });
    }
  }

  /** The tokens so far; after the end, what the usage block says. */
  get counts(): Counts {
    if (this.#finished?.usage) return countsOf(this.#finished.usage);
    return countsSoFar(this.#promptTokens, this.#cachedTokens, this.document.tally);
  }

  /** Stops the worker at its next step. */
  cancel(): void {
    this.#cancelled.abort();
    this.#stream?.cancel();
  }
}

async function* messagesOf(stream: WorkerStream | null): AsyncGenerator<GenerateResponse> {
  if (!stream) return;
  yield* stream.head;
  for (let next = await stream.rest.next(); !next.done; next = await stream.rest.next()) {
    yield next.value;
  }
}

/** A message without what the client was told before. */
function restOf(message: GenerateResponse, replay: Replay): GenerateResponse {
  const isRepeated = ({ event }: Event) => event.case === "started";
  const events = message.events.flatMap((event) =>
    isRepeated(event) ? [] : (replay.rest(event) ?? []),
  );
  return { ...message, events };
}

function newSeed(): bigint {
  const [seed = 0n] = crypto.getRandomValues(new BigUint64Array(1));
  return seed;
}

/** Begins the answer to `request`. Throws ApiError; then nothing stays reserved. */
export async function openAnswer(request: AnswerRequest, around: Surroundings): Promise<Answer> {
  const { env, caller, waitUntil } = around;
  const { settings, requestId, endpoint, model: modelId } = request;
  const { view, model } = await viewWith(around, modelId);

  if (model.contextTokens > 0 && request.promptBytes > model.contextTokens * bytesPerToken) {
    throw badField(
      request.promptField,
      `The prompt has ${request.promptBytes} bytes, which is more than fits into the model's context of ${model.contextTokens} tokens.`,
      "context_length_exceeded",
    );
  }

  const asked = settings.maxTokens ?? model.defaultMaxTokens;
  const maxTokens = model.contextTokens > 0 ? Math.min(asked, model.contextTokens) : asked;
  const facts = { requestId, model: modelId, endpoint, stream: settings.stream };
  const account = new Account(env, caller, facts, around.at);
  await account.reserve(request.promptBytes + maxTokens);

  try {
    return await begin();
  } catch (error) {
    const status = error instanceof ApiError ? error.status : 500;
    waitUntil(account.refused(status).catch((cause) => console.error("not recorded", cause)));
    throw error;
  }

  async function begin(): Promise<Answer> {
    const judged = settings.mode === "auto" && model.dialect !== "" && request.question !== null;
    account.mode = decideMode(judged);
    const seed = settings.seed ?? newSeed();

    let store: Store | null = null;
    if (settings.deterministic && settings.cache === "use") {
      const key = await answerKey({
        tenantId: caller.tenantId,
        model: modelId,
        modelDigest: model.digest,
        mode: account.mode,
        classifier: judged ? classifierVersion : null,
        maxBranches: settings.maxBranches,
        maxTokens,
        seed: settings.sampling.temperature === 0 ? null : seed.toString(),
        stop: settings.stop,
        sampling: JSON.parse(JSON.stringify(settings.sampling)),
        input: JSON.parse(JSON.stringify(request.input)),
      });
      const log = await recall(env, caller.tenantId, key);
      if (log) {
        account.cache = "hit";
        await account.started(0);
        return new Answer(request, account, around.at, { kind: "log", log }, null);
      }
      account.cache = "miss";
      store = (complete) => remember(env, caller.tenantId, key, complete);
    }

    const salt = await keyedHash(env.ANABRANCH_KEY_SECRET, `cache-salt:${caller.tenantId}`);
    const asked: WorkerRequest = {
      requestId,
      model: modelId,
      input: request.input,
      sampling: settings.sampling,
      mode: account.mode === "parallel" ? Mode.PARALLEL : Mode.SERIAL,
      maxBranches: settings.maxBranches,
      maxTokens,
      seed,
      cacheSalt: salt.slice(0, 16),
      stop: settings.stop,
    };
    const stream = await openStream(
      candidates(view, modelId),
      asked,
      request.promptField,
      around.signal,
    );
    account.worker = stream.worker.id;
    const { promptTokens, modelDigest } = stream.started;
    // The answer of another build of the model is not what the key promises.
    if (modelDigest !== model.digest) store = null;
    waitUntil(account.started(promptTokens + maxTokens));
    const reopen: Reopen = (told, signal) => openAgain(asked, modelDigest, told, signal);
    return new Answer(request, account, around.at, { kind: "stream", stream, reopen }, store);
  }

  /**
   * The same request on whichever worker has the same model, the one that was lost included. It goes on
   * from what was told; where that is refused the answer is decoded anew with its seed.
   */
  async function openAgain(
    asked: WorkerRequest,
    digest: string,
    told: readonly Event[],
    signal: AbortSignal,
  ): Promise<WorkerStream> {
    const until = Date.now() + reopenMs;
    for (let resume = resumeOf(told); ; ) {
      try {
        const newest = await poolView(env, waitUntil, true);
        const same = candidates(newest, modelId).filter(({ models }) =>
          models.some((each) => each.id === modelId && each.digest === digest),
        );
        const again = resume ? { ...asked, resume } : asked;
        return await openStream(same, again, request.promptField, signal);
      } catch (error) {
        if (signal.aborted || Date.now() >= until) throw error;
        if (resume && error instanceof ApiError && error.status === 400) {
          console.warn(`request ${requestId} is decoded anew: ${error.message}`);
          resume = null;
          continue;
        }
        await scheduler.wait(reopenPauseMs);
      }
    }
  }

  function decideMode(judged: boolean): "serial" | "parallel" {
    if (model.dialect === "") return "serial";
    if (judged && request.question !== null) return classify(request.question);
    return settings.mode === "serial" ? "serial" : "parallel";
  }
}
