// The engine process: one device, one model, the `Engine` service in token ids on a Unix socket. It
// ends when its standard input closes, so it never outlives its worker.
import { type EngineEvent, openEngine } from "@anabranch/native";
import {
  type EngineGenerateRequest,
  type EngineGenerateResponse,
  Engine as EngineService,
  type EngineStatusRequest,
  type EngineStatusResponse,
  EngineStatusResponseSchema,
  type EngineStopRequest,
  type EngineStopResponse,
  EngineStopResponseSchema,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
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
import { messageOf } from "./events.ts";
import { type EngineProcessOptions, EXIT_CANNOT_LOAD } from "./options.ts";
import { promptOf, requestOf } from "./requests.ts";

type Call = ServerWritableStream<EngineGenerateRequest, EngineGenerateResponse>;

const options = JSON.parse(process.argv[2] ?? "{}") as EngineProcessOptions;

interface Answer {
  call: Call;
  requestId: string;
}

/** Tokens are sent at most this often: a step of a small model takes less time than a message. */
const FLUSH_INTERVAL_MS = 10;

const answers = new Map<number, Answer>();
const byRequestId = new Map<string, number>();
let nextId = 1;

const engine = (() => {
  try {
    return openEngine(
      { ...options.engine, flushIntervalMs: FLUSH_INTERVAL_MS },
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
const facts = { modelDigest: info.digest, backend: info.backend };

// ---- requests in -----------------------------------------------------------------------------

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

function forget(id: number): void {
  const answer = answers.get(id);
  answers.delete(id);
  if (answer && byRequestId.get(answer.requestId) === id) byRequestId.delete(answer.requestId);
}

function generate(call: Call): void {
  const request = call.request;
  if (request.resume.length > 0 && request.modelDigest !== info.digest) {
    refuse(call, Status.FAILED_PRECONDITION, "another model began the answer");
    return;
  }
  const id = nextId;
  nextId = nextId === 0xffffffff ? 1 : nextId + 1;
  const { requestId } = request;
  answers.set(id, { call, requestId });
  byRequestId.set(requestId, id);
  try {
    engine.submit(requestOf(id, promptOf(request), request, options.defaultMaxTokens));
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
        samplingDefaults: options.samplingDefaults,
      },
      load: {
        runningRequests: load.running,
        queuedRequests: load.queued,
        liveLanes: load.liveLanes,
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
      },
    }),
  );
}

// ---- events out ------------------------------------------------------------------------------

function deliver(events: Map<number, EngineEvent[]>): void {
  for (const [id, list] of events) {
    const answer = answers.get(id);
    if (!answer) continue;
    if (!answer.call.cancelled) answer.call.write(messageOf(list, facts));
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
