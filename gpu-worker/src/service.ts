// The Worker service: a request in text, an answer as lanes of text.
import { randomUUID, timingSafeEqual } from "node:crypto";
import { Readable } from "node:stream";
import type { StructureRun } from "@anabranch/native";
import { FinishReason, Mode } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import {
  EngineGenerateRequestSchema,
  type StructureRunSchema,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import {
  type GenerateResponse,
  Thinking,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import {
  DescribeResponseSchema,
  DetokenizeResponseSchema,
  type GenerateRequest,
  LoadAdapterResponseSchema,
  type Resume,
  TokenizeResponseSchema,
  UnloadAdapterResponseSchema,
  Worker,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { Answer } from "./answer/answer.ts";
import { DeclaredAnswer, tokensOnce } from "./answer/declared-answer.ts";
import { Outbox } from "./answer/outbox.ts";
import { atLeast, firstPart } from "./at-least.ts";
import { askedTools, grammarField, refuseHugeGrammars, toolGrammarField } from "./constraint.ts";
import { echoAlone, echoOf } from "./echo.ts";
import { endFields } from "./end-tokens.ts";
import { openStream } from "./engine/streams.ts";
import type { EngineSupervisor } from "./engine/supervisor.ts";
import type { LongPrompts } from "./long-prompts.ts";
import type { Metrics } from "./metrics.ts";
import { idsOfRuns } from "./model/runs.ts";
import type { TextModel } from "./model/text-model.ts";
import { branchField, declaredBranches, hasGivenForm, isSerial, refuseHugeText } from "./prompt.ts";
import { type AnswerReader, Relay } from "./relay.ts";
import type { ServedModel, ServedModels } from "./served-models.ts";
import { refuseUnknownIds, refuseUnknownTokens } from "./token-ids.ts";

export interface WorkerState {
  models: ServedModels;
  engine: EngineSupervisor;
  prompts: LongPrompts;
  metrics: Metrics;
  credential: string;
  contextTokens: number;
  draining: boolean;
  /** Called when an answer has ended, so that the pool hears of the freed room soon. */
  onEnded: () => void;
  /** Called when the worker serves other models. */
  onModelsChanged: () => void;
}

function authenticate(state: WorkerState, context: HandlerContext): void {
  const given = Buffer.from(context.requestHeader.get("authorization") ?? "");
  const wanted = Buffer.from(`Bearer ${state.credential}`);
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
    throw new ConnectError("this worker takes work from its gateway only", Code.Unauthenticated);
  }
}

/** The model that a request names. */
function served({ models }: WorkerState, model: string): ServedModel {
  const found = models.find(model);
  if (!found) throw new ConnectError(`this worker has no model "${model}"`, Code.NotFound);
  return found;
}

/** A run in the engine's terms. */
const toEngine = (run: StructureRun): MessageInitShape<typeof StructureRunSchema> =>
  "serial" in run
    ? { serial: [...run.serial] }
    : { parallel: run.parallel.map((ids) => ({ ids: [...ids] })) };

/** Throws if another prompt's answer is to be resumed. */
function checkResume(resume: Resume, prompt: readonly number[]): void {
  const begun = resume.promptTokenIds;
  if (begun.length !== prompt.length || begun.some((id, i) => id !== prompt[i])) {
    throw new ConnectError("the answer was begun for another prompt", Code.FailedPrecondition);
  }
}

type EngineInput = MessageInitShape<typeof EngineGenerateRequestSchema>;

/** What the engine is asked, and who reads its answer. */
interface Asked {
  input: EngineInput;
  reader: AnswerReader;
}

function askOne(text: TextModel, request: GenerateRequest, prompt: StructureRun[]): Asked {
  const { resume, seed, stop } = request;
  const promptTokenIds = idsOfRuns(prompt);
  if (resume) checkResume(resume, promptTokenIds);
  const tools = askedTools(text, request);
  const toolFormat = tools?.format ?? "";
  // An answer that is held to a form from its first token does not think.
  const held = request.constraint !== undefined || tools?.required;
  const isChat = request.input.case === "chat";
  const thinking = held || !isChat ? Thinking.UNSPECIFIED : text.thinkingAfter(promptTokenIds);
  const facts = { seed, promptTokenIds, toolFormat, thinking };
  const answer = new Answer(text, stop, facts, !isChat);
  return {
    input: {
      prompt: prompt.map(toEngine),
      ...(tools ? toolGrammarField(tools) : grammarField(request.constraint)),
      ...(resume && { resume: resume.lanes }),
    },
    reader: {
      events: (_, engineEvents) => answer.events(engineEvents),
      isStopped: () => answer.stopped,
    },
  };
}

function askBranches(text: TextModel, request: GenerateRequest, runs: StructureRun[][]): Asked {
  const { resume, seed, maxTokens, stop: stops } = request;
  const prompts = runs.map(idsOfRuns);
  if (resume) checkResume(resume, tokensOnce(prompts));
  const declared = declaredBranches(request);
  const titles = declared.map(({ title }) => title);
  const branches = runs.map((prompt, index) => {
    const log = resume?.lanes.find(({ lane }) => lane === index + 1);
    const tokenIds = log?.tokenIds ?? [];
    return {
      prompt: prompt.map(toEngine),
      // A branch that has ended is read again, and not continued.
      maxTokens: log?.closed ? tokenIds.length : maxTokens,
      resume: tokenIds.length > 0 ? [{ lane: 0, tokenIds }] : [],
      ...grammarField(declared[index]?.constraint, `${branchField(index)}.`),
    };
  });
  refuseHugeGrammars(branches.map(({ grammar = [] }) => grammar.length));
  return {
    input: { branches, ...grammarField(request.constraint) },
    reader: new DeclaredAnswer(text, { seed, titles, stops, prompts }),
  };
}

/** Throws if an answer has `min_tokens` and more lanes than one, or an end that a form decides. */
function refuseMinTokens(request: GenerateRequest): void {
  if (request.minTokens === 0 || (request.mode === Mode.SERIAL && !hasGivenForm(request))) return;
  throw new ConnectError(
    "min_tokens: only a serial answer without a given form, tools and declared branches has it",
    Code.InvalidArgument,
  );
}

async function* generate(
  state: WorkerState,
  request: GenerateRequest,
  context: HandlerContext,
): AsyncGenerator<GenerateResponse> {
  authenticate(state, context);
  if (state.draining) throw new ConnectError("this worker is draining", Code.Unavailable);
  const { text, adapter } = served(state, request.model);
  refuseHugeText(request, state.contextTokens);
  refuseUnknownIds(text, request);
  const requestId = randomUUID();
  const declared = declaredBranches(request).length > 0;
  refuseMinTokens(request);
  const prompts = await state.prompts.of(text, request, false, context.signal);
  const { input, reader } = declared
    ? askBranches(text, request, prompts)
    : askOne(text, request, prompts[0] ?? []);
  const asked = create(EngineGenerateRequestSchema, {
    ...{ requestId, adapter },
    mode: isSerial(text, request) ? Mode.SERIAL : request.mode,
    maxBranches: request.maxBranches,
    maxTokens: request.maxTokens,
    seed: request.seed,
    choice: request.choice,
    cacheSalt: request.cacheSalt,
    ignoreEos: request.ignoreEos,
    ...endFields(text, request),
    priority: request.priority,
    maxTimePerTokenMs: request.maxTimePerTokenMs,
    ...(request.resume && { modelDigest: text.engineDigest(request.resume.modelDigest) }),
    ...input,
  });
  const first = request.minTokens > 0 ? firstPart(asked, request.minTokens) : undefined;
  const { tenant, key, priority, deadlineMs } = request;
  const weight = request.tenantWeight || 1;
  const arrived = performance.now();
  const size = Math.max(1, asked.branches.length);
  const clock = state.metrics.begin();
  const outbox = new Outbox();
  const left = new AbortController();
  const leave = () => left.abort();
  context.signal.addEventListener("abort", leave, { once: true });
  let end: (() => void) | undefined;
  const { signal } = left;
  const stop = (branch: number) => state.engine.stop(requestId, branch);
  const where = declared ? "anabranch." : "";
  const echo = () => echoOf(state.engine, text, asked, request, signal);
  const withEcho = request.echo && !request.resume;
  const parts = { reader, text, clock, stop, outbox, where };
  const relay = new Relay({
    ...parts,
    ...(withEcho && { echo: async () => (await echo()).event }),
  });
  const run = async () => {
    end = await state.engine.queue.enter({ tenant, key, weight, priority, size }, signal);
    const waited = Math.ceil(performance.now() - arrived);
    if (deadlineMs > 0) asked.deadlineMs = Math.max(1, deadlineMs - waited);
    if (request.echo && request.maxTokens === 0) {
      await echoAlone(echo, relay);
      outbox.end();
      return end();
    }
    const stopped = () => reader.isStopped(0);
    const stream = first
      ? Readable.from(atLeast(state.engine, asked, first, stopped, signal))
      : openStream(() => state.engine.generate(asked), signal);
    relay.attach(stream);
    // Of gRPC's streams and of others.
    for (const last of ["status", "close"]) stream.once(last, () => end?.());
  };
  try {
    run().catch((error) => {
      end?.();
      relay.fail(error);
    });
    yield* outbox.read();
  } finally {
    clock.end(FinishReason.CANCELLED); // if nothing else ended it, the caller left
    context.signal.removeEventListener("abort", leave);
    left.abort();
    state.onEnded();
  }
}

export function routes(state: WorkerState): (router: ConnectRouter) => void {
  return (router) =>
    router.service(Worker, {
      generate: (request, context) => generate(state, request, context),
      async describe(_, context) {
        authenticate(state, context);
        const status = await state.engine.status();
        return create(DescribeResponseSchema, {
          models: status.model ? [status.model, ...status.adapters] : [],
          ...(status.load && { load: status.load }),
          draining: state.draining,
        });
      },
      async tokenize(request, context) {
        authenticate(state, context);
        const { text } = served(state, request.model);
        refuseHugeText(request, state.contextTokens);
        const prompts = await state.prompts.of(text, request, request.bare, context.signal);
        const tokenIds = tokensOnce(prompts.map(idsOfRuns));
        const texts = request.texts ? tokenIds.map((id) => text.decode([id])) : [];
        return create(TokenizeResponseSchema, { tokenIds, texts });
      },
      detokenize({ model, tokenIds }, context) {
        authenticate(state, context);
        const { text } = served(state, model);
        refuseUnknownTokens(text, "tokens", tokenIds);
        return create(DetokenizeResponseSchema, { text: text.decode(tokenIds) });
      },
      async loadAdapter({ name, source }, context) {
        authenticate(state, context);
        const id = await state.models.load(name, source).catch((error) => {
          throw ConnectError.from(error, Code.FailedPrecondition);
        });
        state.onModelsChanged();
        const { adapters } = await state.engine.status();
        const model = adapters.find((each) => each.id === id);
        return create(LoadAdapterResponseSchema, { ...(model && { model }) });
      },
      async unloadAdapter({ name }, context) {
        authenticate(state, context);
        await state.models.unload(name);
        state.onModelsChanged();
        return create(UnloadAdapterResponseSchema);
      },
    });
}
