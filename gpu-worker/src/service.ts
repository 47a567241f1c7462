// The Worker service: a request in text, an answer in lanes of text.
import { randomUUID, timingSafeEqual } from "node:crypto";
import type { StructureRun } from "@anabranch/native";
import { type AnswerPart, titlesOf } from "@anabranch/shared/parts.ts";
import { EngineGenerateRequestSchema } from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import {
  EventSchema,
  FinishReason,
  type GenerateResponse,
  GenerateResponseSchema,
  Mode,
  type Resume,
  ResumeSchema,
  type StructureRunSchema,
} from "@anabranch/shared/proto/anabranch/v1/generate_pb.js";
import {
  type AnswerPart as AnswerPartMessage,
  DescribeResponseSchema,
  type GenerateRequest,
  Worker,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import type { ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import { Answer } from "./answer/answer.ts";
import type { EngineSupervisor } from "./engine/supervisor.ts";
import { RETRY_AFTER } from "./grpc.ts";
import type { AnswerClock, Metrics } from "./metrics.ts";
import { planPromptOf } from "./model/prompted.ts";
import { idsOfRuns } from "./model/runs.ts";
import { type Message, PromptError, type TextModel } from "./model/text_model.ts";

const HEARTBEAT_MS = 250;

/**
 * Text longer than this for each position of the model's context is refused before it is tokenized,
 * which would hold up everyone else's answers. No tokenizer's tokens are longer on average.
 */
const MOST_BYTES_A_TOKEN = 64;

export interface WorkerState {
  model: TextModel;
  engine: EngineSupervisor;
  metrics: Metrics;
  credential: string;
  contextTokens: number;
  /** The engine's dialect is prompted: the model knows no markers. */
  prompted: boolean;
  draining: boolean;
  /** Called when an answer has ended, so that the pool hears of the freed room soon. */
  onEnded: () => void;
}

function authenticate(state: WorkerState, context: HandlerContext): void {
  const given = Buffer.from(context.requestHeader.get("authorization") ?? "");
  const wanted = Buffer.from(`Bearer ${state.credential}`);
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
    throw new ConnectError("this worker takes work from its gateway only", Code.Unauthenticated);
  }
}

const answerPart = ({ part }: AnswerPartMessage): AnswerPart =>
  part.case === "parallel"
    ? { parallel: part.value.branches.map(({ title, body }) => ({ title, body })) }
    : { serial: part.value ?? "" };

function refuseHugeText(request: GenerateRequest, contextTokens: number): void {
  const { input } = request;
  const texts =
    input.case === "chat"
      ? input.value.messages.flatMap(({ content, name, parts }) => [
          ...[content, name],
          ...titlesOf(parts.map(answerPart)),
        ])
      : input.case === "text"
        ? [input.value]
        : [];
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes <= contextTokens * MOST_BYTES_A_TOKEN) return;
  throw new ConnectError(
    `the prompt has ${bytes} bytes; the model's context is ${contextTokens} tokens`,
    Code.OutOfRange,
  );
}

const messagesOf = ({ input }: GenerateRequest): Message[] =>
  input.case === "chat"
    ? input.value.messages.map(({ role, content, name, parts }) => ({
        ...{ role, content, parts: parts.map(answerPart) },
        ...(name === "" ? {} : { name }),
      }))
    : [];

function promptOf(model: TextModel, request: GenerateRequest): StructureRun[] {
  try {
    switch (request.input.case) {
      case "chat":
        if (request.input.value.messages.length === 0) throw new PromptError("messages is empty");
        return model.conversation(messagesOf(request));
      case "text":
        return [{ serial: model.text(request.input.value) }];
      case "tokens":
        return [{ serial: request.input.value.ids }];
      default:
        throw new PromptError("the request has no input");
    }
  } catch (error) {
    if (error instanceof PromptError) throw new ConnectError(error.message, Code.InvalidArgument);
    throw error;
  }
}

/** A run as the engine process is sent it. */
const toEngine = (run: StructureRun): MessageInitShape<typeof StructureRunSchema> =>
  "serial" in run
    ? { run: { case: "serial", value: { ids: [...run.serial] } } }
    : {
        run: {
          case: "parallel",
          value: { branches: run.parallel.map((ids) => ({ ids: [...ids] })) },
        },
      };

/** An answer begun elsewhere, as the engine takes it up. Throws where it was another prompt's. */
function resumed(resume: Resume, prompt: readonly number[]): Resume {
  const told = resume.promptTokenIds;
  if (told.length !== prompt.length || told.some((id, i) => id !== prompt[i])) {
    throw new ConnectError("the answer was begun to another prompt", Code.FailedPrecondition);
  }
  return create(ResumeSchema, { ...resume, promptTokenIds: [] });
}

/** What waits for the client: at most one message a step, and heartbeats between silent steps. */
class Outbox {
  readonly #waiting: GenerateResponse[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  #error: Error | undefined;

  put(response: GenerateResponse): void {
    this.#waiting.push(response);
    this.#wake?.();
  }
  end(error?: Error): void {
    this.#ended = true;
    this.#error ??= error;
    this.#wake?.();
  }

  async *read(): AsyncGenerator<GenerateResponse> {
    while (true) {
      let next = this.#waiting.shift();
      while (next) {
        yield next;
        next = this.#waiting.shift();
      }
      if (this.#error) throw this.#error;
      if (this.#ended) return;
      const silent = await this.#wait();
      if (silent) yield create(GenerateResponseSchema, { events: [heartbeat()] });
    }
  }

  /** Resolves true where nothing came for a heartbeat's time. */
  #wait(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#wake = undefined;
        resolve(true);
      }, HEARTBEAT_MS);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve(false);
      };
    });
  }
}

const heartbeat = () =>
  create(EventSchema, {
    event: { case: "heartbeat", value: { $typeName: "anabranch.v1.Heartbeat" } },
  });

async function* generate(
  state: WorkerState,
  request: GenerateRequest,
  context: HandlerContext,
): AsyncGenerator<GenerateResponse> {
  authenticate(state, context);
  if (state.draining) throw new ConnectError("this worker is draining", Code.Unavailable);
  if (request.model !== state.model.id) {
    throw new ConnectError(`this worker has no model "${request.model}"`, Code.NotFound);
  }
  refuseHugeText(request, state.contextTokens);
  const requestId = randomUUID();
  const prompt = promptOf(state.model, request);
  const plan =
    state.prompted && request.mode === Mode.PARALLEL
      ? planPromptOf(state.model, messagesOf(request), idsOfRuns(prompt), request)
      : undefined;
  const resume = request.resume && resumed(request.resume, idsOfRuns(prompt));
  const stream = state.engine.generate(
    create(EngineGenerateRequestSchema, {
      requestId,
      prompt: prompt.map(toEngine),
      ...(request.sampling && { sampling: request.sampling }),
      ...(plan && { plan: { at: plan.at, ids: [...plan.ids] } }),
      mode: request.mode,
      maxBranches: request.maxBranches,
      maxTokens: request.maxTokens,
      seed: request.seed,
      choice: request.choice,
      cacheSalt: request.cacheSalt,
      ignoreEos: request.ignoreEos,
      deadlineMs: request.deadlineMs,
      priority: request.priority,
      ...(resume && { resume }),
    }),
  );
  if (!stream) throw new ConnectError("the engine is restarting", Code.Unavailable);
  const clock = state.metrics.begin();
  const leave = () => stream.cancel();
  context.signal.addEventListener("abort", leave, { once: true });
  try {
    yield* answer(state, request, stream, clock, () => state.engine.stop(requestId));
  } finally {
    clock.end(FinishReason.CANCELLED); // where nothing else ended it, the caller left
    context.signal.removeEventListener("abort", leave);
    stream.cancel();
    state.onEnded();
  }
}

async function* answer(
  state: WorkerState,
  request: GenerateRequest,
  stream: ClientReadableStream<GenerateResponse>,
  clock: AnswerClock,
  stop: () => void,
): AsyncGenerator<GenerateResponse> {
  const outbox = new Outbox();
  const answer = new Answer(state.model, request.stop);
  const receive = (response: GenerateResponse) => {
    if (response.events.some(({ event }) => event.case === "delta")) clock.message();
    const wasStopped = answer.stopped;
    const events = answer.events(response);
    // After a stop string only the end is of interest: it brings the usage.
    const coming = wasStopped ? events.filter(({ event }) => event.case === "finished") : events;
    for (const { event } of coming) if (event.case === "finished") clock.end(event.value.reason);
    if (coming.length > 0) {
      outbox.put(create(GenerateResponseSchema, { seq: response.seq, events: coming }));
    }
    if (answer.stopped && !wasStopped) stop();
  };
  stream.on("data", (response: GenerateResponse) => {
    try {
      receive(response);
    } catch (error) {
      // A fault in turning ids into text ends this answer, not the worker.
      clock.end("failed");
      outbox.end(ConnectError.from(error, Code.Internal));
    }
  });
  stream.on("error", (error: ServiceError) => {
    clock.end("failed");
    // gRPC's and Connect's codes are the same numbers.
    const [retryAfter] = error.metadata?.get(RETRY_AFTER) ?? [];
    const metadata = retryAfter === undefined ? {} : { [RETRY_AFTER]: String(retryAfter) };
    outbox.end(new ConnectError(error.details, error.code as unknown as Code, metadata));
  });
  stream.on("end", () => outbox.end());
  yield* outbox.read();
}

export function routes(state: WorkerState): (router: ConnectRouter) => void {
  return (router) =>
    router.service(Worker, {
      generate: (request, context) => generate(state, request, context),
      async describe(_, context) {
        authenticate(state, context);
        const status = await state.engine.status();
        return create(DescribeResponseSchema, {
          models: status.model ? [status.model] : [],
          ...(status.load && { load: status.load }),
          draining: state.draining,
        });
      },
    });
}
