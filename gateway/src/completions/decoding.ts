// Has workers decode an answer: opens its choices, and opens them again when their worker is lost.
import { Mode } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { Event } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { resumeOf } from "../aggregation/resume.ts";
import { ApiError } from "../api-error.ts";
import { keyedHash } from "../auth/api-key.ts";
import type { TenantContext } from "../http/context.ts";
import { Slots } from "../http/slots.ts";
import type { Model, PoolView, PoolWorker } from "../pool/pool.ts";
import { poolView } from "../pool/pool-view.ts";
import type { WorkerRequest } from "../routing/generate.ts";
import { type Coming, router } from "../routing/router.ts";
import { openStream, type WorkerStream, WorkersAwayError } from "../routing/worker-stream.ts";
import type { UsageRecorder } from "../usage/usage-recorder.ts";
import type { Decision } from "./admission.ts";
import { allOrStop } from "./answer.ts";
import type { AnswerPrompt, AnswerRequest } from "./answer-request.ts";
import type { OpenSource, Reopen, Source } from "./choice.ts";
import { comingOf } from "./coming.ts";
import type { effectiveSampling } from "./parameters.ts";

/** How long a choice without a worker, at its beginning or later, looks for one: an engine loads its model again. */
const reopenMs = 20_000;
const reopenPauseMs = 250;

/** A choice that a worker decodes. */
export type Decoded = OpenSource | (Source & { kind: "later" });

/** How many choices of a request with several prompts are decoded at once. */
const maxAtOnce = 16;

/** How the answer is to be decoded. */
export interface DecodingPlan {
  /** As it was when the request came. */
  view: PoolView;
  model: Model;
  decision: Decision;
  maxTokens: number;
  sampling: ReturnType<typeof effectiveSampling>;
  seed: bigint;
}

export class Decoding {
  readonly #request: AnswerRequest;
  readonly #context: TenantContext;
  readonly #plan: DecodingPlan;
  readonly #usage: UsageRecorder;

  constructor(
    request: AnswerRequest,
    context: TenantContext,
    plan: DecodingPlan,
    usage: UsageRecorder,
  ) {
    this.#request = request;
    this.#context = context;
    this.#plan = plan;
    this.#usage = usage;
  }

  /**
   * Opens one stream per choice of the first prompt; those of others open when they are read, a few at a time. They
   * go to the same worker while it has room, which then prefills their prompt once. If one can't begin, none does.
   */
  async open(left: AbortSignal): Promise<Decoded[]> {
    const { prompts, settings } = this.#request;
    const [first, ...others] = prompts;
    const opened = await this.#openChoices(first, left);
    const slots = new Slots(Math.max(1, maxAtOnce - settings.n));
    const later = others.flatMap((prompt) =>
      Array.from({ length: settings.n }, (_, choice): Decoded => {
        const open = (signal: AbortSignal) => this.#openLater(prompt, choice, slots, signal);
        return { kind: "later", open };
      }),
    );
    return [...opened, ...later];
  }

  /** Waits for its turn. */
  async #openLater(
    prompt: AnswerPrompt,
    choice: number,
    slots: Slots,
    signal: AbortSignal,
  ): Promise<OpenSource> {
    const leave = await slots.enter(signal);
    try {
      const request = { ...(await this.#workerRequest(prompt)), choice };
      const { env, waitUntil } = this.#context;
      // Workers may have come and gone since the request came.
      const coming = this.#comingOf(prompt);
      const workers = this.#workers(await poolView(env, waitUntil), coming);
      const stream = await this.#openFirst(workers, request, prompt.field, coming, signal);
      const ended = () => {
        leave();
        stream.ended();
      };
      return { kind: "stream", ...this.#source({ ...stream, ended }, request, prompt, coming) };
    } catch (error) {
      leave();
      throw error;
    }
  }

  #source(stream: WorkerStream, request: WorkerRequest, { field }: AnswerPrompt, coming: Coming) {
    const { modelDigest } = stream.started;
    const reopen: Reopen = (events, gone) =>
      this.#reopen(request, field, modelDigest, coming, events, gone);
    return { stream, reopen };
  }

  #comingOf(prompt: AnswerPrompt): Coming {
    return comingOf(this.#context.caller.tenantId, prompt, this.#request.branchBytes);
  }

  /** Those that may decode it, the best first. */
  #workers(view: PoolView, coming: Coming): PoolWorker[] {
    return router.candidates(view, this.#plan.model.id, coming);
  }

  /** All choices of one prompt. */
  async #openChoices(prompt: AnswerPrompt, left: AbortSignal): Promise<OpenSource[]> {
    const request = await this.#workerRequest(prompt);
    const coming = this.#comingOf(prompt);
    const { n } = this.#request.settings;
    const workers = this.#workers(this.#plan.view, { ...coming, requests: n * coming.requests });
    const others = new AbortController();
    const signal = AbortSignal.any([left, others.signal]);
    const opened: WorkerStream[] = [];
    const open = async (choice: number): Promise<OpenSource> => {
      const one = { ...request, choice };
      // The prompt is computed once.
      const own = choice > 0 ? { ...coming, earlierTokens: coming.promptTokens } : coming;
      const stream = await this.#openFirst(workers, one, prompt.field, own, signal);
      opened.push(stream);
      this.#usage.worker = stream.worker.id;
      return { kind: "stream", ...this.#source(stream, one, prompt, own) };
    };
    try {
      const choices = Array.from({ length: n }, (_, choice) => open(choice));
      return await allOrStop(choices, () => others.abort());
    } catch (error) {
      for (const stream of opened) {
        stream.cancel();
        stream.ended();
      }
      throw error;
    }
  }

  async #workerRequest({ input }: AnswerPrompt): Promise<WorkerRequest> {
    const { env, caller } = this.#context;
    const { id, settings } = this.#request;
    const salt = await keyedHash(env.ANABRANCH_KEY_SECRET, `cache-salt:${caller.tenantId}`);
    return {
      requestId: id,
      model: this.#plan.model.id,
      input,
      sampling: this.#plan.sampling,
      mode: this.#plan.decision.mode === "parallel" ? Mode.PARALLEL : Mode.SERIAL,
      maxBranches: settings.maxBranches,
      maxTimePerTokenMs: settings.maxTimePerTokenMs,
      maxTokens: this.#plan.maxTokens,
      seed: this.#plan.seed,
      cacheSalt: salt.slice(0, 16),
      tenant: caller.tenantId,
      tenantWeight: caller.tenantWeight,
      key: caller.keyId,
      priority: caller.priority,
      stop: settings.stop,
      stopTokenIds: settings.stopTokenIds,
      ignoreEos: settings.ignoreEos,
      minTokens: settings.minTokens,
      echo: settings.echo,
      ...(settings.constraint && { constraint: settings.constraint }),
    };
  }

  /** Opens a choice on one of `workers`. If none can be reached, it waits a while for one to come back. */
  async #openFirst(
    workers: readonly PoolWorker[],
    request: WorkerRequest,
    promptField: string,
    coming: Coming,
    signal: AbortSignal,
  ): Promise<WorkerStream> {
    const { env, waitUntil } = this.#context;
    const until = Date.now() + reopenMs;
    for (let known = workers; ; ) {
      try {
        return await openStream(known, request, promptField, coming, signal);
      } catch (error) {
        const waits = error instanceof WorkersAwayError || known.length === 0;
        if (signal.aborted || !waits || workers.length === 0 || Date.now() >= until) throw error;
      }
      await scheduler.wait(reopenPauseMs);
      known = this.#workers(await poolView(env, waitUntil, true), coming);
    }
  }

  /**
   * Opens the same choice on any worker with the same model build, the one that was lost included. It
   * continues after `events`; if that is refused, it is decoded again with its seed.
   */
  async #reopen(
    request: WorkerRequest,
    promptField: string,
    digest: string,
    coming: Coming,
    events: readonly Event[],
    signal: AbortSignal,
  ): Promise<WorkerStream> {
    const { env, waitUntil } = this.#context;
    const until = Date.now() + reopenMs;
    for (let resume = resumeOf(events); ; ) {
      try {
        const newest = await poolView(env, waitUntil, true);
        const same = this.#workers(newest, coming).filter(({ models }) =>
          models.some((each) => each.id === this.#plan.model.id && each.digest === digest),
        );
        const again = resume ? { ...request, resume } : request;
        const stream = await openStream(same, again, promptField, coming, signal);
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
