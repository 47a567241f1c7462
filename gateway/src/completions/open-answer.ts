// From a validated request to an answer that has begun: model, limits, mode, cache and workers, in that
// order.
import { ApiError, withNames } from "../api-error.ts";
import { answerKey } from "../cache/answer-key.ts";
import { SharedAnswer } from "../cache/shared-answer.ts";
import { version as classifierVersion } from "../classifier/classifier.ts";
import type { TenantContext } from "../http/context.ts";
import { nothing, type Spend } from "../limits/window.ts";
import type { Model, PoolView } from "../pool/pool.ts";
import { currentPrice } from "../prices/current-price.ts";
import { mostOf } from "../prices/price.ts";
import { UsageRecorder } from "../usage/usage-recorder.ts";
import { checkPromptSize, decideMode, findModel, maxTokensOf } from "./admission.ts";
import { Answer } from "./answer.ts";
import { type AnswerRequest, answersOf } from "./answer-request.ts";
import type { Source } from "./choice.ts";
import { Decoding, type DecodingPlan } from "./decoding.ts";
import { Follower } from "./follower.ts";
import { idempotencyKeyOf } from "./idempotency.ts";
import { effectiveSampling } from "./parameters.ts";

/** Begins the answer to `request`. Throws ApiError, with the client's names; then nothing stays reserved. */
export async function openAnswer(request: AnswerRequest, context: TenantContext): Promise<Answer> {
  try {
    return await begin(request, context);
  } catch (error) {
    throw withNames(error, request.nameOf);
  }
}

async function begin(request: AnswerRequest, context: TenantContext): Promise<Answer> {
  const { view, model } = await findModel(request.model, context);
  checkPromptSize(request, model);
  const { id: requestId, endpoint, settings } = request;
  const facts = { requestId, model: model.id, endpoint, stream: settings.stream };
  const price = await currentPrice(context.env, model.id, context.waitUntil);
  const usage = new UsageRecorder(context, facts, price);
  const maxTokens = maxTokensOf(settings, model);
  const sizes = [...request.prompts.map(({ bytes }) => bytes), ...request.branchBytes];
  const promptBytes = sizes.reduce((sum, each) => sum + each, 0);
  await usage.reservation.reserve(mostSpent(usage, promptBytes, answersOf(request) * maxTokens));
  try {
    const plan = planOf(request, view, model, maxTokens, usage);
    return await new Opening(request, context, plan, usage).open();
  } catch (error) {
    const status = error instanceof ApiError ? error.status : 500;
    const recorded = usage.refused(status);
    context.waitUntil(recorded.catch((cause) => console.error("usage was not recorded", cause)));
    throw error;
  }
}

const mostSpent = (
  { price }: UsageRecorder,
  promptTokens: number,
  answerTokens: number,
): Spend => ({
  tokens: promptTokens + answerTokens,
  cost: mostOf(price, promptTokens, answerTokens),
});

function newSeed(): bigint {
  const [seed = 0n] = crypto.getRandomValues(new BigUint64Array(1));
  return seed;
}

function planOf(
  request: AnswerRequest,
  view: PoolView,
  model: Model,
  maxTokens: number,
  usage: UsageRecorder,
): DecodingPlan {
  const { settings } = request;
  const { decision, judgement } = decideMode(request, model);
  usage.judgement = judgement;
  usage.mode = decision.mode;
  const sampling = effectiveSampling(settings.sampling, model.samplingDefaults);
  return { view, model, decision, maxTokens, sampling, seed: settings.seed ?? newSeed() };
}

/** The steps after the reservation. */
class Opening {
  readonly #request: AnswerRequest;
  readonly #context: TenantContext;
  readonly #plan: DecodingPlan;
  readonly #usage: UsageRecorder;
  readonly #decoding: Decoding;

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
    this.#decoding = new Decoding(request, context, plan, usage);
  }

  async open(): Promise<Answer> {
    const { id } = this.#request;
    const { request, caller } = this.#context;
    const idempotent = await idempotencyKeyOf(request, caller);
    if (idempotent) {
      this.#usage.once = true;
      const fingerprint = await this.#answerKey();
      // Every retry gets the answer under the same id.
      const sameId = id.slice(0, id.search(/[-_]/) + 1) + idempotent.slice(0, 32);
      return this.#share(idempotent, fingerprint, sameId);
    }
    const { settings } = this.#request;
    return this.#isDeterministic && settings.cache !== "bypass"
      ? this.#share(await this.#answerKey(), "", id)
      : this.#decode(null, id);
  }

  /** The same request gets the same answer at temperature 0, or with a given seed. */
  get #isDeterministic(): boolean {
    return this.#plan.sampling.temperature === 0 || this.#request.settings.seed !== null;
  }

  #answer(sources: readonly Source[], shared: SharedAnswer | null, id: string): Answer {
    const { model } = this.#request;
    const createdAt = Math.floor(this.#context.at / 1_000);
    const { settings } = this.#request;
    return new Answer({ id, model, createdAt }, this.#usage, sources, settings.n, shared);
  }

  #answerKey(): Promise<string> {
    const { settings, prompts } = this.#request;
    const { model, decision, maxTokens, sampling } = this.#plan;
    // At temperature 0 it does not matter, and one that nobody named is not the request's.
    const seed = sampling.temperature === 0 ? null : (settings.seed?.toString() ?? null);
    return answerKey({
      tenantId: this.#context.caller.tenantId,
      model: model.id,
      modelDigest: model.digest,
      mode: decision.mode,
      classifier: decision.classified ? classifierVersion : null,
      maxBranches: settings.maxBranches,
      maxTokens,
      n: settings.n,
      seed,
      stop: settings.stop,
      stopTokenIds: settings.stopTokenIds,
      ignoreEos: settings.ignoreEos,
      minTokens: settings.minTokens,
      echo: settings.echo,
      constraint: JSON.parse(JSON.stringify(settings.constraint ?? null)),
      sampling: JSON.parse(JSON.stringify(sampling)),
      inputs: prompts.map(({ input }) => JSON.parse(JSON.stringify(input))),
    });
  }

  /** Reads the answer under `key`, follows the request that decodes it, or has it decoded for others to follow. */
  async #share(key: string, fingerprint: string, id: string): Promise<Answer> {
    const { env, caller, requestId } = this.#context;
    const { tenantId } = caller;
    const { model } = this.#plan;
    const facts = { tenantId, key, fingerprint, model: model.id, requestId };
    const shared = new SharedAnswer(env, facts);
    const follower = new Follower(
      shared,
      this.#request,
      this.#context,
      this.#decoding,
      this.#usage,
    );
    const opened = await follower.open();
    if (opened.kind === "lead") {
      this.#usage.cache = "miss";
      return this.#decode(shared, id);
    }
    this.#usage.cache = "hit";
    this.#usage.started();
    await this.#usage.reservation.correct(nothing);
    if (opened.kind === "hit") {
      return this.#answer(
        opened.logs.map((log): Source => ({ kind: "log", log })),
        null,
        id,
      );
    }
    const answer = this.#answer([opened.source], shared, id);
    follower.log = answer.choices[0]?.log ?? [];
    return answer;
  }

  /** Has workers decode the answer, for `shared` too if equal requests share it. */
  async #decode(shared: SharedAnswer | null, id: string): Promise<Answer> {
    try {
      const sources = await this.#decoding.open(this.#context.signal);
      const [opened] = sources;
      const promptTokens = opened?.kind === "stream" ? opened.stream.started.promptTokens : 0;
      this.#usage.started();
      const answerTokens = answersOf(this.#request) * this.#plan.maxTokens;
      // An upstream tells its prompt's length at the end, and so do other prompts: the estimate stays until then.
      if (promptTokens > 0 && this.#request.prompts.length === 1) {
        const most = mostSpent(this.#usage, promptTokens, answerTokens);
        this.#context.waitUntil(this.#usage.reservation.correct(most));
      }
      // Another build of the model answers differently from what the key promises.
      const { digest } = this.#plan.model;
      const sameBuild = sources.every(
        (source) => source.kind === "later" || source.stream.started.modelDigest === digest,
      );
      if (!sameBuild) await shared?.abandon();
      const answer = this.#answer(sources, sameBuild ? shared : null, id);
      const [first, ...others] = answer.choices;
      if (shared && sameBuild && first && others.length === 0) {
        this.#context.waitUntil(shared.tell(first.log));
      }
      return answer;
    } catch (error) {
      await shared?.abandon();
      throw error;
    }
  }
}
