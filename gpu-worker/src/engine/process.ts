// The engine process: one device, one model, the `Engine` service in token ids on a Unix socket. It
// ends when its standard input closes, so it never outlives its worker.
import { readFileSync } from "node:fs";
import {
  type EngineEvent,
  type EngineLoad,
  type OutlineRules,
  openEngine,
} from "@anabranch/native";
import {
  type EngineGenerateRequest,
  type EngineGenerateResponse,
  type EngineLoadAdapterRequest,
  type EngineLoadAdapterResponse,
  EngineLoadAdapterResponseSchema,
  type EngineScoreRequest,
  type EngineScoreResponse,
  EngineScoreResponseSchema,
  Engine as EngineService,
  type EngineStatusRequest,
  type EngineStatusResponse,
  EngineStatusResponseSchema,
  type EngineStopRequest,
  type EngineStopResponse,
  EngineStopResponseSchema,
  type EngineUnloadAdapterRequest,
  type EngineUnloadAdapterResponse,
  EngineUnloadAdapterResponseSchema,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import type {
  LoadSchema,
  ModelInfo,
  ModelInfoSchema,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
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
import { adaptedModelId } from "./adapted-model-id.ts";
import { type EngineFacts, messageOf } from "./events.ts";
import { type EngineProcessOptions, EXIT_CANNOT_LOAD } from "./options.ts";
import { requestOf } from "./requests.ts";
import { Scores } from "./scores.ts";

type Call = ServerWritableStream<EngineGenerateRequest, EngineGenerateResponse>;

const options = JSON.parse(process.argv[2] ?? "{}") as EngineProcessOptions;

/** An answer, or one branch of an answer whose branches were declared. */
interface Answer {
  call: Call;
  facts: EngineFacts;
  branch: number;
  /** Of all branches of the call. */
  ids: readonly number[];
}

/**
 * Tokens of an answer are sent at most this often, the first one at once: more often than the eye sees. Each message costs
 * the worker and the gateway about the same, however much is in it, and on a CPU takes that time from the engine. It is
 * longer while more than 50 requests run, so that there are at most 2,000 messages a second.
 */
const FLUSH_INTERVAL_MS = 25;

const answers = new Map<number, Answer>();
/** The ids of each request's branches, or its only one. */
const byRequestId = new Map<string, readonly number[]>();
let nextId = 1;

const engine = (() => {
  try {
    const { outlinePath, tokenBytesPath } = options;
    const outline: OutlineRules = JSON.parse(readFileSync(outlinePath, "utf8"));
    return openEngine(
      {
        ...options.engine,
        flushIntervalMs: FLUSH_INTERVAL_MS,
        outline,
        ...(tokenBytesPath !== undefined && { tokenBytes: readFileSync(tokenBytesPath) }),
      },
      deliver,
      (message) => {
        // Sticky device faults can't be repaired in place: the supervisor starts another process.
        process.stderr.write(`engine: ${message}\n`);
        process.exit(1);
      },
    );
  } catch (error) {
    process.stderr.write(`engine: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(EXIT_CANNOT_LOAD);
  }
})();
const info = engine.info();
const scores = new Scores(engine);
/** By name; what the engine's own list says once this process knows of it. */
const adapters = new Map(engine.adapters().map((adapter) => [adapter.name, adapter]));

// ---- requests in -----------------------------------------------------------------------------

const grpcCodes: Record<string, Status> = {
  invalid_argument: Status.INVALID_ARGUMENT,
  not_found: Status.NOT_FOUND,
  out_of_range: Status.OUT_OF_RANGE,
  resource_exhausted: Status.RESOURCE_EXHAUSTED,
  failed_precondition: Status.FAILED_PRECONDITION,
  unavailable: Status.UNAVAILABLE,
};

/** An error of the addon, for the wire. */
function statusOf(error: unknown): { code: Status; details: string } {
  const { code = "" } = error as { code?: string };
  const details = error instanceof Error ? error.message : String(error);
  return { code: grpcCodes[code] ?? Status.INTERNAL, details };
}

/** `retryAfter` is an estimate in seconds, for a queue that is full. */
function refuse(call: Call, code: Status, message: string, retryAfter?: number): void {
  const metadata = new Metadata();
  if (retryAfter !== undefined) metadata.set(RETRY_AFTER, String(retryAfter));
  call.emit("error", { code, details: message, metadata });
}

/** Ids for as many requests. */
function newIds(count: number): number[] {
  return Array.from({ length: count }, () => {
    const id = nextId;
    nextId = nextId === 0xffffffff ? 1 : nextId + 1;
    return id;
  });
}

function forget(requestId: string, ids: readonly number[]): void {
  for (const id of ids) answers.delete(id);
  if (byRequestId.get(requestId) === ids) byRequestId.delete(requestId);
}

const factsOf = (adapter: string): EngineFacts => ({
  modelDigest: adapters.get(adapter)?.digest ?? info.digest,
  backend: info.backend,
});

function generate(call: Call): void {
  const request = call.request;
  const facts = factsOf(request.adapter);
  const { modelDigest } = facts;
  const resumes = [request, ...request.branches].some(({ resume }) => resume.length > 0);
  if (resumes && request.modelDigest !== modelDigest) {
    refuse(call, Status.FAILED_PRECONDITION, "another model began the answer");
    return;
  }
  const { requestId } = request;
  const parts = request.branches.length > 0 ? request.branches : [request];
  const ids = newIds(parts.length);
  for (const [branch, id] of ids.entries()) answers.set(id, { call, facts, branch, ids });
  byRequestId.set(requestId, ids);
  const requests = parts.map((part, branch) =>
    requestOf(ids[branch] ?? 0, part, request, options.defaultMaxTokens),
  );
  try {
    const [only] = requests;
    if (only && request.branches.length === 0) engine.submit(only);
    else engine.submitGroup(requests);
  } catch (error) {
    forget(requestId, ids);
    const { code, details } = statusOf(error);
    const { retryAfterSeconds } = error as { retryAfterSeconds?: number };
    refuse(call, code, details, retryAfterSeconds);
    return;
  }
  call.on("cancelled", () => {
    for (const id of ids) engine.cancel(id);
  });
}

function stop(call: { request: EngineStopRequest }, done: sendUnaryData<EngineStopResponse>): void {
  const { requestId, branch } = call.request;
  const id = byRequestId.get(requestId)?.[branch];
  if (id !== undefined) engine.cancel(id);
  done(null, create(EngineStopResponseSchema));
}

/** Tokens in one message. */
const scoreTokens = 4_096;

async function score(call: ServerWritableStream<EngineScoreRequest, EngineScoreResponse>) {
  const { adapter, tokenIds, topLogprobs } = call.request;
  const [id = 0] = newIds(1);
  const left = new AbortController();
  call.on("cancelled", () => left.abort());
  if (call.cancelled) left.abort();
  const write = (message: MessageInitShape<typeof EngineScoreResponseSchema>) =>
    call.write(create(EngineScoreResponseSchema, message));
  const begun = () => write({ started: { ...factsOf(adapter), promptTokens: tokenIds.length } });
  try {
    const tokens = await scores.of({ id, tokenIds, topLogprobs, adapter }, left.signal, begun);
    for (let at = 0; at < tokens.length; at += scoreTokens) {
      write({ tokens: tokens.slice(at, at + scoreTokens) });
    }
    call.end();
  } catch (error) {
    call.emit("error", statusOf(error));
  }
}

async function loadAdapter(
  { request: { name, path, tokens } }: { request: EngineLoadAdapterRequest },
  done: sendUnaryData<EngineLoadAdapterResponse>,
): Promise<void> {
  try {
    adapters.set(name, await engine.loadAdapter({ name, path, tokens }));
    done(null, create(EngineLoadAdapterResponseSchema));
  } catch (error) {
    done(statusOf(error));
  }
}

function unloadAdapter(
  { request: { name } }: { request: EngineUnloadAdapterRequest },
  done: sendUnaryData<EngineUnloadAdapterResponse>,
): void {
  try {
    engine.unloadAdapter(name);
    adapters.delete(name);
    done(null, create(EngineUnloadAdapterResponseSchema));
  } catch (error) {
    done(statusOf(error));
  }
}

const modelInfo = (
  its: Pick<ModelInfo, "id" | "digest" | "dialect"> & { base?: string },
): MessageInitShape<typeof ModelInfoSchema> => ({
  ...its,
  backend: info.backend,
  contextTokens: info.context,
  defaultMaxTokens: options.defaultMaxTokens,
  samplingDefaults: options.samplingDefaults,
  ...(options.autoThreshold !== undefined && { autoThreshold: options.autoThreshold }),
});

function stepCostsOf({ stepCosts }: EngineLoad): MessageInitShape<typeof LoadSchema> {
  const { step, decodeRow, prefillRow, kvToken } = stepCosts;
  if (step + decodeRow === 0) return {};
  return {
    stepCosts: {
      stepMs: 1e3 * step,
      laneMs: 1e3 * decodeRow,
      prefillMs: 1e3 * prefillRow,
      contextMs: 1e6 * kvToken,
    },
  };
}

function status(
  _call: { request: EngineStatusRequest },
  done: sendUnaryData<EngineStatusResponse>,
): void {
  const load = engine.load();
  done(
    null,
    create(EngineStatusResponseSchema, {
      model: modelInfo({ id: options.modelId, digest: info.digest, dialect: info.dialect }),
      adapters: [...adapters.values()].map(({ name, digest, dialect }) =>
        modelInfo({
          ...{ id: adaptedModelId(options.modelId, name), digest, dialect },
          base: options.modelId,
        }),
      ),
      load: {
        runningRequests: load.running,
        queuedRequests: load.queued,
        liveLanes: load.liveLanes,
        prefillTokens: BigInt(load.pendingPrefill),
        contextTokens: BigInt(Math.round(load.contextTokens)),
        ...stepCostsOf(load),
        kvBlocksFree: BigInt(load.kvFree),
        kvBlocksTotal: BigInt(load.kvTotal),
      },
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
        heldLanes: BigInt(load.heldLanes),
        predictedSeconds: load.predictedSeconds,
        mispredictionSeconds: load.mispredictionSeconds,
        schedulingSeconds: load.schedulingSeconds,
      },
    }),
  );
}

// ---- events out ------------------------------------------------------------------------------

function deliver(events: Map<number, EngineEvent[]>): void {
  for (const [id, list] of events) {
    const answer = answers.get(id);
    if (!answer) continue;
    const { call, facts, branch, ids } = answer;
    if (!call.cancelled) call.write(messageOf(list, facts, branch));
    if (!list.some(({ kind }) => kind === "finished")) continue;
    answers.delete(id);
    if (ids.some((each) => answers.has(each))) continue;
    forget(call.request.requestId, ids);
    call.end();
  }
}

// ---- life ------------------------------------------------------------------------------------

const server = new Server({
  "grpc.max_receive_message_length": 64 << 20,
  "grpc.max_send_message_length": 64 << 20,
});
server.addService(grpcService(EngineService), {
  generate,
  stop,
  score,
  status,
  loadAdapter,
  unloadAdapter,
});
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
