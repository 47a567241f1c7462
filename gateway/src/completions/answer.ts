// One answer: from a validated request to a stream of lane events, through limits, cache, classifier
// and routing, in that order.
import { promptedDialect } from "@anabranch/shared/prompted.ts";
import { Mode } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type {
  Event,
  GenerateResponse,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { resumeOf } from "../aggregation/resume.ts";
import { ApiError, badField } from "../api-error.ts";
import { keyedHash } from "../auth/api-key.ts";
import type { Caller } from "../auth/key-store.ts";
import { answerKey } from "../cache/answer-key.ts";
import { recall, remember } from "../cache/answer-log.ts";
import { version as classifierVersion, classify } from "../classifier/classifier.ts";
import type { Environment } from "../environment.ts";
import { type Model, type PoolView, poolView } from "../pool/pool-view.ts";
import { candidates } from "../routing/candidates.ts";
import { openStream, type WorkerRequest, type WorkerStream } from "../routing/worker-stream.ts";
import { Account, type Counts, sumOfChoices } from "../usage/account.ts";
import { Choice, type Reopen, type Source } from "./choice.ts";
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

/** How long a choice that lost its worker looks for another: an engine restarts in about a second. */
const reopenMs = 10_000;
const reopenPauseMs = 250;

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

type Begun = Extract<Source, { kind: "stream" }>;

/** Keeps the logs of a complete answer's choices; never rejects. */
type Store = (logs: readonly (readonly GenerateResponse[])[]) => Promise<void>;

/** An answer that has begun: `n` choices, decoded side by side. */
export class Answer {
  readonly requestId: string;
  readonly model: string;
  readonly choices: readonly Choice[];
  readonly account: Account;
  readonly createdAt: number;
  readonly #store: Store | null;
  #stored: Promise<void> = Promise.resolve();

  constructor(
    request: AnswerRequest,
    account: Account,
    at: number,
    sources: readonly Source[],
    store: Store | null,
  ) {
    this.requestId = request.requestId;
    this.model = request.model;
    this.choices = sources.map((source, index) => new Choice(request.requestId, index, source));
    this.account = account;
    this.createdAt = Math.floor(at / 1_000);
    this.#store = store;
  }

  /** Resolves when a complete answer is in the cache, where it belongs there. */
  get stored(): Promise<void> {
    return this.#stored;
  }

  /** The tokens of all choices so far. They share one prompt, which counts once. */
  get counts(): Counts {
    return sumOfChoices(this.choices.map(({ counts }) => counts));
  }

  /**
   * Has `task` bring every choice to its end, side by side. The first that fails stops the others,
   * and its error is thrown when all have stopped.
   */
  async complete(task: (choice: Choice) => Promise<void>): Promise<void> {
    await together(this.choices.map(task), () => this.cancel());
    if (this.#store) this.#stored = this.#store(this.choices.map(({ log }) => log));
  }

  /** Stops the workers at their next step. */
  cancel(): void {
    for (const choice of this.choices) choice.cancel();
  }
}

/** Calls `stop` when the first of `tasks` fails, and throws its error when all have ended. */
async function together<T>(tasks: readonly Promise<T>[], stop: () => void): Promise<T[]> {
  let failed = false;
  let first: unknown;
  const results = await Promise.all(
    tasks.map((task) =>
      task.catch((error: unknown) => {
        if (!failed) first = error;
        failed = true;
        stop();
        return null;
      }),
    ),
  );
  if (failed) throw first;
  return results as T[];
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
  await account.reserve(request.promptBytes + settings.n * maxTokens);

  try {
    return await begin();
  } catch (error) {
    const status = error instanceof ApiError ? error.status : 500;
    waitUntil(account.refused(status).catch((cause) => console.error("not recorded", cause)));
    throw error;
  }

  async function begin(): Promise<Answer> {
    const knowsMarkers = model.dialect !== "" && model.dialect !== promptedDialect;
    const judged = settings.mode === "auto" && knowsMarkers && request.question !== null;
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
        n: settings.n,
        seed: settings.sampling.temperature === 0 ? null : seed.toString(),
        stop: settings.stop,
        sampling: JSON.parse(JSON.stringify(settings.sampling)),
        input: JSON.parse(JSON.stringify(request.input)),
      });
      const logs = await recall(env, caller.tenantId, key);
      if (logs) {
        account.cache = "hit";
        await account.started(0);
        const sources = logs.map((log): Source => ({ kind: "log", log }));
        return new Answer(request, account, around.at, sources, null);
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
    const sources = await openChoices(asked);
    const promptTokens = sources[0]?.stream.started.promptTokens ?? 0;
    waitUntil(account.started(promptTokens + settings.n * maxTokens));
    // The answer of another build of the model is not what the key promises.
    if (sources.some(({ stream }) => stream.started.modelDigest !== model.digest)) store = null;
    return new Answer(request, account, around.at, sources, store);
  }

  /**
   * One stream for each choice, begun. They ask the same worker while it has room, which then
   * prefills their prompt once. Where one can't begin, none does.
   */
  async function openChoices(asked: WorkerRequest): Promise<Begun[]> {
    const workers = candidates(view, modelId);
    const others = new AbortController();
    const signal = AbortSignal.any([around.signal, others.signal]);
    const begun: Begun[] = [];
    const open = async (choice: number): Promise<Begun> => {
      const one = { ...asked, choice };
      const stream = await openStream(workers, one, request.promptField, signal);
      account.worker = stream.worker.id;
      const { modelDigest } = stream.started;
      const reopen: Reopen = (told, left) => openAgain(one, modelDigest, told, left);
      const source: Begun = { kind: "stream", stream, reopen };
      begun.push(source);
      return source;
    };
    try {
      const choices = Array.from({ length: settings.n }, (_, choice) => open(choice));
      return await together(choices, () => others.abort());
    } catch (error) {
      for (const { stream } of begun) {
        stream.cancel();
        stream.ended();
      }
      throw error;
    }
  }

  /**
   * The same choice on whichever worker has the same model, the one that was lost included. It goes on
   * from what was told; where that is refused it is decoded anew with its seed.
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
        const stream = await openStream(same, again, request.promptField, signal);
        account.worker = stream.worker.id;
        return stream;
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
    // A plan costs a turn of its own, and wants a chat to be asked for in.
    if (model.dialect === promptedDialect) {
      const asked = settings.mode === "parallel" && request.input.case === "chat";
      return asked ? "parallel" : "serial";
    }
    if (judged && request.question !== null) return classify(request.question);
    return settings.mode === "serial" ? "serial" : "parallel";
  }
}
