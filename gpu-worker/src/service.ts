// The Worker service: a request in text, an answer as lanes of text.
import { randomUUID, timingSafeEqual } from "node:crypto";
import type { StructureRun } from "@anabranch/native";
import { FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import {
  EngineGenerateRequestSchema,
  type EngineGenerateResponse,
  type StructureRunSchema,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import {
  type GenerateResponse,
  GenerateResponseSchema,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import {
  DescribeResponseSchema,
  type GenerateRequest,
  LoadAdapterResponseSchema,
  type Resume,
  UnloadAdapterResponseSchema,
  Worker,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import type { ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import { Answer } from "./answer/answer.ts";
import { Outbox } from "./answer/outbox.ts";
import type { EngineSupervisor } from "./engine/supervisor.ts";
import { RETRY_AFTER } from "./grpc.ts";
import type { AnswerClock, Metrics } from "./metrics.ts";
import { idsOfRuns } from "./model/runs.ts";
import { promptOf, refuseHugeText } from "./prompt.ts";
import type { ServedModels } from "./served-models.ts";

export interface WorkerState {
  models: ServedModels;
  engine: EngineSupervisor;
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

async function* generate(
  state: WorkerState,
  request: GenerateRequest,
  context: HandlerContext,
): AsyncGenerator<GenerateResponse> {
  authenticate(state, context);
  if (state.draining) throw new ConnectError("this worker is draining", Code.Unavailable);
  const served = state.models.find(request.model);
  if (!served) {
    throw new ConnectError(`this worker has no model "${request.model}"`, Code.NotFound);
  }
  refuseHugeText(request, state.contextTokens);
  const requestId = randomUUID();
  const { text, adapter } = served;
  const prompt = promptOf(text, request);
  const promptTokenIds = idsOfRuns(prompt);
  const { resume } = request;
  if (resume) checkResume(resume, promptTokenIds);
  const stream = state.engine.generate(
    create(EngineGenerateRequestSchema, {
      ...{ requestId, adapter },
      prompt: prompt.map(toEngine),
      ...(request.sampling && { sampling: request.sampling }),
      mode: request.mode,
      maxBranches: request.maxBranches,
      maxTokens: request.maxTokens,
      seed: request.seed,
      choice: request.choice,
      cacheSalt: request.cacheSalt,
      ignoreEos: request.ignoreEos,
      deadlineMs: request.deadlineMs,
      priority: request.priority,
      ...(resume && { resume: resume.lanes, modelDigest: resume.modelDigest }),
    }),
  );
  if (!stream) throw new ConnectError("the engine is restarting", Code.Unavailable);
  const clock = state.metrics.begin();
  const leave = () => stream.cancel();
  context.signal.addEventListener("abort", leave, { once: true });
  try {
    const answer = new Answer(text, request.stop, { seed: request.seed, promptTokenIds });
    yield* relay(answer, stream, clock, () => state.engine.stop(requestId));
  } finally {
    clock.end(FinishReason.CANCELLED); // if nothing else ended it, the caller left
    context.signal.removeEventListener("abort", leave);
    stream.cancel();
    state.onEnded();
  }
}

/** Sends the engine's stream on as the worker's. `stop` is called once a stop string ends the answer. */
async function* relay(
  answer: Answer,
  stream: ClientReadableStream<EngineGenerateResponse>,
  clock: AnswerClock,
  stop: () => void,
): AsyncGenerator<GenerateResponse> {
  const outbox = new Outbox();
  const receive = (response: EngineGenerateResponse) => {
    if (response.events.some(({ event }) => event.case === "tokens")) clock.message();
    const wasStopped = answer.stopped;
    const all = answer.events(response.events);
    // After a stop string only `finished` matters: it carries the usage.
    const events = wasStopped ? all.filter(({ event }) => event.case === "finished") : all;
    for (const { event } of events) if (event.case === "finished") clock.end(event.value.reason);
    if (events.length > 0) outbox.put(create(GenerateResponseSchema, { events }));
    if (answer.stopped && !wasStopped) stop();
  };
  stream.on("data", (response: EngineGenerateResponse) => {
    try {
      receive(response);
    } catch (error) {
      // A fault while ids become text ends this answer, not the worker.
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
          models: status.model ? [status.model, ...status.adapters] : [],
          ...(status.load && { load: status.load }),
          draining: state.draining,
        });
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
