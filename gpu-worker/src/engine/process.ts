// The engine process: one device, one model, the `Engine` service in token ids on a Unix socket.
// It lives as long as its standard input: when the worker goes, however it goes, so does this.

import {
  type EngineEvent,
  type EngineToken,
  openEngine,
  type Sampling,
  type StructureRun,
} from "@anabranch/native";
import {
  type EngineGenerateRequest,
  Engine as EngineService,
  type EngineStatusRequest,
  type EngineStatusResponse,
  EngineStatusResponseSchema,
  type EngineStopRequest,
  type EngineStopResponse,
  EngineStopResponseSchema,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import {
  type Delta,
  DeltaSchema,
  type Event,
  EventSchema,
  type GenerateResponse,
  GenerateResponseSchema,
  Mode,
  type Sampling as SamplingMessage,
  type TokenLogprob,
  TokenLogprobSchema,
} from "@anabranch/shared/proto/anabranch/v1/generate_pb.js";
import { create } from "@bufbuild/protobuf";
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerWritableStream,
  type ServiceError,
  status as Status,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { grpcService, RETRY_AFTER } from "../grpc.ts";
import { idsOfRuns } from "../model/runs.ts";
import { type EngineProcessOptions, EXIT_CANNOT_LOAD } from "./options.ts";

type Call = ServerWritableStream<EngineGenerateRequest, GenerateResponse>;

const options = JSON.parse(process.argv[2] ?? "{}") as EngineProcessOptions;

interface Answer {
  call: Call;
  requestId: string;
  seed: bigint;
  seq: bigint;
  promptIds: readonly number[];
}

/** Steps of a small model are shorter than what a message costs: tokens gather for so long. */
const GATHER_MS = 10;

const answers = new Map<number, Answer>();
const byRequestId = new Map<string, number>();
let nextId = 1;
let tokensPerSecond = 0;
let tokensSince = 0;
let rateAt = Date.now();

const engine = (() => {
  try {
    return openEngine({ ...options.engine, gatherMs: GATHER_MS }, deliver, (message) => {
      // Sticky faults can't be mended in place: the supervisor starts another process.
      process.stderr.write(`engine: ${message}\n`);
      process.exit(1);
    });
  } catch (error) {
    process.stderr.write(`engine: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(EXIT_CANNOT_LOAD);
  }
})();
const info = engine.info();

// ---- requests in -----------------------------------------------------------------------------

function sampling(message: SamplingMessage | undefined): Sampling {
  if (!message) return {};
  return {
    temperature: message.temperature,
    topP: message.topP === 0 ? 1 : message.topP,
    topK: message.topK,
    minP: message.minP,
    presencePenalty: message.presencePenalty,
    frequencyPenalty: message.frequencyPenalty,
    repetitionPenalty: message.repetitionPenalty === 0 ? 1 : message.repetitionPenalty,
    logitBias: Object.entries(message.logitBias).map(([id, bias]) => [Number(id), bias] as const),
    logprobs: message.logprobs,
    topLogprobs: message.topLogprobs,
  };
}

const grpcCodes: Record<string, Status> = {
  invalid_argument: Status.INVALID_ARGUMENT,
  out_of_range: Status.OUT_OF_RANGE,
  resource_exhausted: Status.RESOURCE_EXHAUSTED,
  failed_precondition: Status.FAILED_PRECONDITION,
  unavailable: Status.UNAVAILABLE,
};

/** `retryAfter` is an estimate in seconds, for a queue that is full. */
function refuse(call: Call, code: Status, message: string, retryAfter?: number): void {
  const metadata = new Metadata();
  if (retryAfter !== undefined) metadata.set(RETRY_AFTER, String(retryAfter));
  call.emit("error", { code, details: message, metadata });
}

const promptOf = (request: EngineGenerateRequest): StructureRun[] =>
  request.prompt.map(({ run }) =>
    run.case === "parallel"
      ? { parallel: run.value.branches.map(({ ids }) => ids) }
      : { serial: run.value?.ids ?? [] },
  );

function forget(id: number): void {
  const answer = answers.get(id);
  answers.delete(id);
  if (answer && byRequestId.get(answer.requestId) === id) byRequestId.delete(answer.requestId);
}

function generate(call: Call): void {
  const request = call.request;
  const { resume } = request;
  if (resume && resume.modelDigest !== info.digest) {
    refuse(call, Status.FAILED_PRECONDITION, "the answer was begun on another model");
    return;
  }
  const id = nextId;
  nextId = nextId === 0xffffffff ? 1 : nextId + 1;
  const { requestId, seed } = request;
  const prompt = promptOf(request);
  const promptIds = idsOfRuns(prompt);
  answers.set(id, {
    call,
    requestId,
    seed,
    promptIds,
    seq: resume?.seq ?? 0n,
  });
  byRequestId.set(requestId, id);
  try {
    engine.submit({
      id,
      prompt,
      sampling: sampling(request.sampling),
      ...(request.plan && { plan: request.plan }),
      parallel: request.mode === Mode.PARALLEL,
      maxBranches: request.maxBranches,
      maxTokens: request.maxTokens || options.defaultMaxTokens,
      seed: request.seed,
      choice: request.choice,
      priority: request.priority,
      cacheSalt: request.cacheSalt,
      stopTokens: request.stopTokenIds,
      ignoreEos: request.ignoreEos,
      deadlineMs: request.deadlineMs,
      ...(resume && {
        log: resume.lanes.map(({ lane, tokenIds, reason }) => ({
          ...{ lane, tokens: tokenIds, closed: reason },
        })),
      }),
    });
  } catch (error) {
    forget(id);
    const { code = "", retryAfterSeconds } = error as { code?: string; retryAfterSeconds?: number };
    const message = error instanceof Error ? error.message : String(error);
    refuse(call, grpcCodes[code] ?? Status.INTERNAL, message, retryAfterSeconds);
    return;
  }
  call.on("cancelled", () => engine.cancel(id));
}

function stop(call: { request: EngineStopRequest }, done: sendUnaryData<EngineStopResponse>): void {
  const id = byRequestId.get(call.request.requestId);
  if (id !== undefined) engine.cancel(id);
  done(null, create(EngineStopResponseSchema));
}

function status(
  _call: { request: EngineStatusRequest },
  done: sendUnaryData<EngineStatusResponse>,
): void {
  const load = engine.load();
  const now = Date.now();
  if (now - rateAt >= 1000) {
    tokensPerSecond = (tokensSince * 1000) / (now - rateAt);
    tokensSince = 0;
    rateAt = now;
  }
  done(
    null,
    create(EngineStatusResponseSchema, {
      model: {
        id: options.modelId,
        digest: info.digest,
        backend: info.backend,
        dialect: info.dialect,
        contextTokens: info.context,
        defaultMaxTokens: options.defaultMaxTokens,
      },
      load: {
        runningRequests: load.running,
        queuedRequests: load.queued,
        liveLanes: load.liveLanes,
        kvBlocksFree: BigInt(load.kvFree),
        kvBlocksTotal: BigInt(load.kvTotal),
        tokensPerSecond,
      },
      vocabulary: info.vocabulary,
      counters: {
        kvBlocksCached: BigInt(load.kvCached),
        queueWaitSeconds: load.queueWaitSeconds,
        steps: BigInt(load.steps),
        decodeRows: BigInt(load.decodeRows),
        prefillRows: BigInt(load.prefillRows),
        decodeSteps: BigInt(load.decodeSteps),
        decodeSeconds: load.decodeSeconds,
        prefillSeconds: load.prefillSeconds,
        bytesRead: BigInt(load.bytesRead),
        preemptions: BigInt(load.preemptions),
        promptTokens: BigInt(load.promptTokens),
        cachedTokens: BigInt(load.cachedTokens),
        finished: BigInt(load.finished),
      },
    }),
  );
}

// ---- events out ------------------------------------------------------------------------------

function logprobOf(token: EngineToken): TokenLogprob {
  return create(TokenLogprobSchema, {
    tokenId: token.id,
    logprob: token.logprob ?? 0,
    top: (token.top ?? []).map(({ id, logprob }) => ({ tokenId: id, logprob })),
  });
}

/**
 * One answer's events, consecutive tokens of a lane in one delta. Lanes that grow together stay step by
 * step: a stop string may end the answer between any two deltas, and lanes that are uneven then could
 * not be resumed.
 */
function messageOf(answer: Answer, events: readonly EngineEvent[]): GenerateResponse {
  const out: Event[] = [];
  const add = (event: Event["event"]) => out.push(create(EventSchema, { event }));
  const addDelta = (lane: number, released = 0): Delta => {
    const value = create(DeltaSchema, { lane, released });
    add({ case: "delta", value });
    return value;
  };
  const deltaOf = (lane: number): Delta => {
    const last = out.at(-1)?.event;
    return last?.case === "delta" && last.value.lane === lane ? last.value : addDelta(lane);
  };
  for (const event of events) {
    switch (event.kind) {
      case "started":
        add({
          case: "started",
          value: {
            $typeName: "anabranch.v1.Started",
            promptTokens: event.promptTokens,
            cachedTokens: event.cachedTokens,
            seed: answer.seed,
            modelDigest: info.digest,
            backend: info.backend,
            promptTokenIds: [...answer.promptIds],
          },
        });
        break;
      case "token": {
        tokensSince++;
        const { id, visible, held, logprob } = event.token;
        const delta = deltaOf(event.lane);
        delta.tokenIds.push(id);
        delta.visible.push(visible);
        delta.held.push(held);
        if ((visible || held) && logprob !== undefined) delta.logprobs.push(logprobOf(event.token));
        break;
      }
      case "released":
        // What is released stands ahead of a delta's tokens.
        addDelta(event.lane, event.count);
        break;
      case "stageOpened":
        add({
          case: "stageOpened",
          value: {
            $typeName: "anabranch.v1.StageOpened",
            stage: event.stage,
            parentLane: event.parentLane,
            lanes: event.lanes.map(({ lane }) => lane),
            titles: [],
            titleTokens: event.lanes.map(({ title }) => ({
              $typeName: "anabranch.v1.TokenIds",
              ids: title,
            })),
          },
        });
        break;
      case "branchClosed":
        add({
          case: "branchClosed",
          value: {
            $typeName: "anabranch.v1.BranchClosed",
            lane: event.lane,
            reason: event.reason,
          },
        });
        break;
      case "stageClosed":
        add({
          case: "stageClosed",
          value: { $typeName: "anabranch.v1.StageClosed", stage: event.stage },
        });
        break;
      case "finished":
        add({
          case: "finished",
          value: {
            $typeName: "anabranch.v1.Finished",
            reason: event.reason,
            usage: { $typeName: "anabranch.v1.Usage", ...event.usage },
          },
        });
        break;
      case "logits":
        break;
    }
  }
  return create(GenerateResponseSchema, { seq: answer.seq++, events: out });
}

function deliver(events: Map<number, EngineEvent[]>): void {
  for (const [id, list] of events) {
    const answer = answers.get(id);
    if (!answer) continue;
    if (!answer.call.cancelled) answer.call.write(messageOf(answer, list));
    if (list.some(({ kind }) => kind === "finished")) {
      forget(id);
      answer.call.end();
    }
  }
}

// ---- life ------------------------------------------------------------------------------------

const server = new Server({
  "grpc.max_receive_message_length": 64 << 20,
  "grpc.max_send_message_length": 64 << 20,
});
server.addService(grpcService(EngineService), { generate, stop, status });
server.bindAsync(
  `unix:${options.socket}`,
  ServerCredentials.createInsecure(),
  (error: ServiceError | Error | null) => {
    if (!error) return;
    process.stderr.write(`engine: can't serve on ${options.socket}: ${error.message}\n`);
    process.exit(1);
  },
);

// A terminal's interrupt reaches the whole process group; the worker decides when to end.
process.on("SIGINT", () => {});
process.stdin.resume();
process.stdin.on("end", () => {
  engine.close();
  server.forceShutdown();
  process.exit(0);
});
