// From a validated request to an answer that has begun: model, limits, mode, cache and workers, in that
// order.
import type { Judgement } from "@anabranch/shared/classifier/judge.ts";
import { outlineDialect } from "@anabranch/shared/outline.ts";
import { Mode } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { Event } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { resumeOf } from "../aggregation/resume.ts";
import { ApiError, badField, modelNotFound, requireModel } from "../api-error.ts";
import { keyedHash } from "../auth/api-key.ts";
import { getAnswer, putAnswer } from "../cache/answer-cache.ts";
import { answerKey } from "../cache/answer-key.ts";
import { version as classifierVersion, classify } from "../classifier/classifier.ts";
import type { TenantContext } from "../http/context.ts";
import type { Model, PoolView, PoolWorker } from "../pool/pool.ts";
import { poolView } from "../pool/pool-view.ts";
import { candidates } from "../routing/candidates.ts";
import type { WorkerRequest } from "../routing/generate.ts";
import { openStream, type WorkerStream, WorkersAwayError } from "../routing/worker-stream.ts";
import { UsageRecorder } from "../usage/usage-recorder.ts";
import { Answer, allOrStop, type Store } from "./answer.ts";
import type { Reopen, Source } from "./choice.ts";
import { effectiveSampling, type Settings } from "./parameters.ts";

export interface AnswerRequest {
  /** Of the completion, as clients see it. */
  id: string;
  endpoint: "chat.completions" | "completions";
  model: string;
  input: NonNullable<WorkerRequest["input"]>;
  /** What the client calls its prompt: `messages` or `prompt`. */
  promptField: string;
  /** Bytes of the prompt in UTF-8 plus an allowance for its template: at least as many as its tokens. */
  promptBytes: number;
  /** The same of each declared branch, after the messages; empty if there are none. */
  branchBytes: readonly number[];
  /** The text that the classifier reads; null if there is none. */
  question: string | null;
  /** Of the chat: 1 for the first message of the user. */
  turn: number;
  settings: Settings;
}

/**
 * A prompt with more bytes than this per token of context can't fit. It is refused here: a worker would
 * have to tokenize megabytes to say the same.
 */
const maxBytesPerToken = 64;

/** How long a choice without a worker, at its beginning or later, looks for one: an engine loads its model again. */
const reopenMs = 20_000;
const reopenPauseMs = 250;

type LiveSource = Extract<Source, { kind: "stream" }>;

/** Begins the answer to `request`. Throws ApiError; then nothing stays reserved. */
export async function openAnswer(request: AnswerRequest, context: TenantContext): Promise<Answer> {
  const { view, model } = await findModel(request.model, context);
  checkPromptSize(request, model);
  const { id: requestId, endpoint, settings } = request;
  const facts = { requestId, model: model.id, endpoint, stream: settings.stream };
  const usage = new UsageRecorder(context, facts);
  const maxTokens = maxTokensOf(settings, model);
  const promptBytes = request.branchBytes.reduce((sum, each) => sum + each, request.promptBytes);
  await usage.reservation.reserve(promptBytes + answersOf(request) * maxTokens);
  try {
    return await new Opening(request, context, view, model, maxTokens, usage).open();
  } catch (error) {
    const status = error instanceof ApiError ? error.status : 500;
    const recorded = usage.refused(status);
    context.waitUntil(recorded.catch((cause) => console.error("usage was not recorded", cause)));
    throw error;
  }
}

/** The model as this isolate knows it, else as the pool knows it now: workers join at any moment. */
async function findModel(
  id: string,
  { env, waitUntil, caller }: TenantContext,
): Promise<{ view: PoolView; model: Model }> {
  requireModel(caller.models, id);
  const known = await poolView(env, waitUntil);
  const view = candidates(known, id).length > 0 ? known : await poolView(env, waitUntil, true);
  const model = view.workers.flatMap(({ models }) => models).find((each) => each.id === id);
  if (!model) throw modelNotFound(id);
  return { view, model };
}

/** How many answers `max_tokens` bounds: of choices, or of declared branches. */
const answersOf = ({ settings, branchBytes }: AnswerRequest): number =>
  branchBytes.length > 0 ? branchBytes.length : settings.n;

function checkPromptSize(
  { promptBytes, promptField, branchBytes }: AnswerRequest,
  { contextTokens }: Model,
): void {
  if (contextTokens === 0) return;
  const check = (field: string, bytes: number) => {
    if (bytes <= contextTokens * maxBytesPerToken) return;
    throw badField(
      field,
      `The prompt has ${bytes} bytes, which is more than fits into the model's context of ${contextTokens} tokens.`,
      "context_length_exceeded",
    );
  };
  check(promptField, promptBytes);
  for (const [index, bytes] of branchBytes.entries()) {
    check(`anabranch.branches[${index}]`, promptBytes + bytes);
  }
}

function maxTokensOf(settings: Settings, { contextTokens, defaultMaxTokens }: Model): number {
  const wanted = settings.maxTokens ?? defaultMaxTokens;
  return contextTokens > 0 ? Math.min(wanted, contextTokens) : wanted;
}

interface Decision {
  mode: "serial" | "parallel";
  /** Whether the classifier decided. */
  classified: boolean;
}

function decideMode(
  request: AnswerRequest,
  { dialect }: Model,
  judgement: Judgement | null,
): Decision {
  const { settings, input, branchBytes } = request;
  const decided = (mode: Decision["mode"]): Decision => ({ mode, classified: false });
  // Each declared branch is decoded serially.
  if (dialect === "" || branchBytes.length > 0) return decided("serial");
  // An outline costs little where nothing comes of it. Plain text need not be an answer.
  if (dialect === outlineDialect && settings.mode === "auto") {
    return decided(input.case === "chat" ? "parallel" : "serial");
  }
  if (settings.mode === "auto" && judgement !== null) {
    return { mode: judgement.mode, classified: true };
  }
  return decided(settings.mode === "serial" ? "serial" : "parallel");
}

function newSeed(): bigint {
  const [seed = 0n] = crypto.getRandomValues(new BigUint64Array(1));
  return seed;
}

/** The steps after the reservation. */
class Opening {
  readonly #request: AnswerRequest;
  readonly #context: TenantContext;
  readonly #view: PoolView;
  readonly #model: Model;
  readonly #maxTokens: number;
  readonly #usage: UsageRecorder;
  readonly #decision: Decision;
  readonly #sampling: ReturnType<typeof effectiveSampling>;
  readonly #seed: bigint;

  constructor(
    request: AnswerRequest,
    context: TenantContext,
    view: PoolView,
    model: Model,
    maxTokens: number,
    usage: UsageRecorder,
  ) {
    this.#request = request;
    this.#context = context;
    this.#view = view;
    this.#model = model;
    this.#maxTokens = maxTokens;
    this.#usage = usage;
    const { question, turn } = request;
    const judgement = question === null ? null : classify(question, turn);
    usage.judgement = judgement;
    this.#decision = decideMode(request, model, judgement);
    this.#sampling = effectiveSampling(request.settings.sampling, model.samplingDefaults);
    this.#seed = request.settings.seed ?? newSeed();
  }

  async open(): Promise<Answer> {
    const { settings } = this.#request;
    this.#usage.mode = this.#decision.mode;
    // The same request gets the same answer at temperature 0, or with a given seed.
    const deterministic = this.#sampling.temperature === 0 || settings.seed !== null;
    if (!deterministic || settings.cache === "bypass") return this.#decode(null);
    const { env, caller } = this.#context;
    const key = await this.#cacheKey();
    const logs = await getAnswer(env, caller.tenantId, key);
    if (!logs) {
      this.#usage.cache = "miss";
      return this.#decode((complete) => putAnswer(env, caller.tenantId, key, complete));
    }
    this.#usage.cache = "hit";
    this.#usage.started();
    await this.#usage.reservation.correct(0);
    const sources = logs.map((log): Source => ({ kind: "log", log }));
    return this.#answer(sources, null);
  }

  #answer(sources: readonly Source[], store: Store | null): Answer {
    const { id, model } = this.#request;
    const createdAt = Math.floor(this.#context.at / 1_000);
    return new Answer({ id, model, createdAt }, this.#usage, sources, store);
  }

  #cacheKey(): Promise<string> {
    const { settings, input } = this.#request;
    return answerKey({
      tenantId: this.#context.caller.tenantId,
      model: this.#model.id,
      modelDigest: this.#model.digest,
      mode: this.#decision.mode,
      classifier: this.#decision.classified ? classifierVersion : null,
      maxBranches: settings.maxBranches,
      maxTokens: this.#maxTokens,
      n: settings.n,
      seed: this.#sampling.temperature === 0 ? null : this.#seed.toString(),
      stop: settings.stop,
      sampling: JSON.parse(JSON.stringify(this.#sampling)),
      input: JSON.parse(JSON.stringify(input)),
    });
  }

  /** Has workers decode the answer, which `store` keeps if it completes. */
  async #decode(store: Store | null): Promise<Answer> {
    const sources = await this.#openChoices(await this.#workerRequest());
    const promptTokens = sources[0]?.stream.started.promptTokens ?? 0;
    this.#usage.started();
    const tokens = promptTokens + answersOf(this.#request) * this.#maxTokens;
    // An upstream tells its prompt's length at the end; the estimate stays until then.
    if (promptTokens > 0) this.#context.waitUntil(this.#usage.reservation.correct(tokens));
    // Another build of the model answers differently from what the cache key promises.
    const { digest } = this.#model;
    const sameBuild = sources.every(({ stream }) => stream.started.modelDigest === digest);
    return this.#answer(sources, sameBuild ? store : null);
  }

  async #workerRequest(): Promise<WorkerRequest> {
    const { env, caller } = this.#context;
    const { id, input, settings } = this.#request;
    const salt = await keyedHash(env.ANABRANCH_KEY_SECRET, `cache-salt:${caller.tenantId}`);
    return {
      requestId: id,
      model: this.#model.id,
      input,
      sampling: this.#sampling,
      mode: this.#decision.mode === "parallel" ? Mode.PARALLEL : Mode.SERIAL,
      maxBranches: settings.maxBranches,
      maxTokens: this.#maxTokens,
      seed: this.#seed,
      cacheSalt: salt.slice(0, 16),
      tenant: caller.tenantId,
      key: caller.keyId,
      stop: settings.stop,
    };
  }

  /**
   * Opens one stream per choice. They go to the same worker while it has room, which then prefills their
   * prompt once. If one can't begin, none does.
   */
  async #openChoices(request: WorkerRequest): Promise<LiveSource[]> {
    const workers = candidates(this.#view, this.#model.id);
    const others = new AbortController();
    const signal = AbortSignal.any([this.#context.signal, others.signal]);
    const opened: WorkerStream[] = [];
    const open = async (choice: number): Promise<LiveSource> => {
      const one = { ...request, choice };
      const stream = await this.#openFirst(workers, one, signal);
      opened.push(stream);
      this.#usage.worker = stream.worker.id;
      const { modelDigest } = stream.started;
      const reopen: Reopen = (events, left) => this.#reopen(one, modelDigest, events, left);
      return { kind: "stream", stream, reopen };
    };
    try {
      const choices = Array.from({ length: this.#request.settings.n }, (_, choice) => open(choice));
      return await allOrStop(choices, () => others.abort());
    } catch (error) {
      for (const stream of opened) {
        stream.cancel();
        stream.ended();
      }
      throw error;
    }
  }

  /** Opens a choice on one of `workers`. If none can be reached, it waits a while for one to come back. */
  async #openFirst(
    workers: readonly PoolWorker[],
    request: WorkerRequest,
    signal: AbortSignal,
  ): Promise<WorkerStream> {
    const { env, waitUntil } = this.#context;
    const until = Date.now() + reopenMs;
    for (let known = workers; ; ) {
      try {
        return await openStream(known, request, this.#request.promptField, signal);
      } catch (error) {
        const waits = error instanceof WorkersAwayError || known.length === 0;
        if (signal.aborted || !waits || workers.length === 0 || Date.now() >= until) throw error;
      }
      await scheduler.wait(reopenPauseMs);
      known = candidates(await poolView(env, waitUntil, true), this.#model.id);
    }
  }

  /**
   * Opens the same choice on any worker with the same model build, the one that was lost included. It
   * continues after `events`; if that is refused, it is decoded again with its seed.
   */
  async #reopen(
    request: WorkerRequest,
    digest: string,
    events: readonly Event[],
    signal: AbortSignal,
  ): Promise<WorkerStream> {
    const { env, waitUntil } = this.#context;
    const until = Date.now() + reopenMs;
    for (let resume = resumeOf(events); ; ) {
      try {
        const newest = await poolView(env, waitUntil, true);
        const same = candidates(newest, this.#model.id).filter(({ models }) =>
          models.some((each) => each.id === this.#model.id && each.digest === digest),
        );
        const again = resume ? { ...request, resume } : request;
        const stream = await openStream(same, again, this.#request.promptField, signal);
        this.#usage.worker = stream.worker.id;
        return stream;
      } catch (error) {
        if (signal.aborted || Date.now() >= until) throw error;
        if (resume && error instanceof ApiError && error.status === 400) {
          console.warn(`request ${request.requestId} is decoded again: ${error.message}`);
          resume = null;
          continue;
        }
        await scheduler.wait(reopenPauseMs);
      }
    }
  }
}
