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
  #cancelled = false;
  readonly #log: GenerateResponse[] = [];
  readonly #source: AsyncIterator<GenerateResponse>;
  readonly #stream: WorkerStream | null;
  readonly #store: Store | null;
  #stored: Promise<void> = Promise.resolve();

  constructor(
    request: AnswerRequest,
    account: Account,
    at: number,
    head: readonly GenerateResponse[],
    source: AsyncIterator<GenerateResponse>,
    stream: WorkerStream | null,
    store: Store | null,
  ) {
    this.requestId = request.requestId;
    this.model = request.model;
    this.account = account;
    this.createdAt = Math.floor(at / 1_000);
    this.#source = chain(head, source);
    this.#stream = stream;
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
      while (!this.#finished) {
        const next = await this.#source.next();
        if (next.done) throw new Error("the stream ended before the answer did");
        yield this.#apply(next.value);
      }
      if (this.#store) this.#stored = this.#store(this.#log);
    } catch (error) {
      if (error instanceof ApiError) throw error;
      if (this.#cancelled) throw new ApiError(499, "The client left.", { code: "client_closed" });
      if (this.#stream && !(error instanceof LaneEventError)) reportFailure(this.#stream.worker);
      console.error(`request ${this.requestId} was lost`, error);
      throw new ApiError(502, "The worker was lost in the middle of the answer.", {
        code: "worker_lost",
      });
    } finally {
      this.#stream?.ended();
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
    this.#cancelled = true;
    this.#stream?.cancel();
  }
}

async function* chain(
  head: readonly GenerateResponse[],
  rest: AsyncIterator<GenerateResponse>,
): AsyncGenerator<GenerateResponse> {
  yield* head;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

async function* nothingMore(): AsyncGenerator<GenerateResponse> {}

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
        return new Answer(request, account, around.at, log, nothingMore(), null, null);
      }
      account.cache = "miss";
      store = (complete) => remember(env, caller.tenantId, key, complete);
    }

    const salt = await keyedHash(env.ANABRANCH_KEY_SECRET, `cache-salt:${caller.tenantId}`);
    const stream = await openStream(
      candidates(view, modelId),
      {
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
      },
      request.promptField,
      around.signal,
    );
    account.worker = stream.worker.id;
    const { promptTokens, modelDigest } = stream.started;
    // The answer of another build of the model is not what the key promises.
    if (modelDigest !== model.digest) store = null;
    waitUntil(account.started(promptTokens + maxTokens));
    return new Answer(request, account, around.at, stream.head, stream.rest, stream, store);
  }

  function decideMode(judged: boolean): "serial" | "parallel" {
    if (model.dialect === "") return "serial";
    if (judged && request.question !== null) return classify(request.question);
    return settings.mode === "serial" ? "serial" : "parallel";
  }
}
