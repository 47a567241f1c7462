// npm run worker: one machine of the pool. It loads a model into a supervised engine process, serves the
// Worker service, and registers with its gateway.
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { availableParallelism, hostname } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { cudaDevices, dtypeOf, dtypes } from "@anabranch/native";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { EngineSupervisor } from "./engine/supervisor.ts";
import { log } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { promptedDialectOf } from "./model/prompted.ts";
import { TextModel } from "./model/text-model.ts";
import { PoolMembership } from "./pool.ts";
import { poolToken } from "./pool-token.ts";
import { routes, type WorkerState } from "./service.ts";

const help = `npm run worker -- --model PATH [options]

Serves one model to a gateway's pool, and Prometheus metrics at /metrics.

  --model PATH        model folder in Hugging Face format, or a .gguf file
  --gateway URL       gateway to register with (absent: serve without a pool)
  --port N            port to listen on (default 0: any free one)
  --host ADDRESS      address to listen on (default 127.0.0.1)
  --url URL           how the gateway reaches this worker (default http://HOST:PORT)
  --id NAME           name in the pool (default: host name and port)
  --model-id NAME     name clients ask for (default: what the model's config says, else the folder)
  --device DEVICE     auto, cpu or cuda:N (default auto: a GPU if there is one)
  --dtype TYPE        of the weights: bf16, int8, fp8 (GPU) or fp32 (CPU) (default bf16)
  --kv-dtype TYPE     of K and V: auto (bf16, beside fp32 weights fp32) or fp8 (GPU) (default auto)
  --deterministic     on a GPU: results do not depend on the batch, bit for bit; prompts are slower
                      (a CPU is always deterministic)
  --threads N         engine threads (default: all cores but one, at least one)
  --kv-mib N          memory for KV (default: 90% of a GPU's free memory; on a CPU a quarter of free
                      memory, at most 1 GiB)
  --max-running N     requests decoded at once (default 64)
  --max-queue N       requests waiting (default 256)
  --default-max-tokens N   completion tokens if a request names no limit (default 1024)

Environment:
  ANABRANCH_POOL_TOKEN         the gateway's secret for workers; needed with --gateway, unless that
                               gateway was started from this checkout on this machine
  ANABRANCH_WORKER_CREDENTIAL  what the gateway must present to this worker (default: a new one at
                               each start)
`;

function fail(message: string): never {
  process.stderr.write(`worker: ${message}\n`);
  process.exit(2);
}

function readOptions() {
  try {
    return parseArgs({
      options: {
        model: { type: "string" },
        gateway: { type: "string" },
        port: { type: "string", default: "0" },
        host: { type: "string", default: "127.0.0.1" },
        url: { type: "string" },
        id: { type: "string" },
        "model-id": { type: "string" },
        device: { type: "string", default: "auto" },
        dtype: { type: "string", default: "bf16" },
        "kv-dtype": { type: "string", default: "auto" },
        deterministic: { type: "boolean", default: false },
        threads: { type: "string" },
        "kv-mib": { type: "string" },
        "max-running": { type: "string" },
        "max-queue": { type: "string" },
        "default-max-tokens": { type: "string", default: "1024" },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : error}; see --help`);
  }
}

const args = readOptions();
if (args.help) {
  process.stdout.write(help);
  process.exit(0);
}

function whole(name: keyof typeof args, low: number, high: number): number | undefined {
  const text = args[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < low || value > high) {
    fail(`--${name} must be a whole number from ${low} to ${high}`);
  }
  return value;
}

const path = resolve(args.model ?? fail("--model is needed; see --help"));
const dtype = dtypeOf(args.dtype) ?? fail(`--dtype is one of ${dtypes.join(", ")}`);
const kvDtype = args["kv-dtype"];
if (kvDtype !== "auto" && kvDtype !== "fp8") fail("--kv-dtype is auto or fp8");
if (args.gateway && !URL.canParse(args.gateway)) fail("--gateway must be a URL");
if (!/^(auto|cpu|cuda:\d{1,2})$/.test(args.device)) fail("--device is auto, cpu or cuda:N");
const token = args.gateway ? poolToken(args.gateway) : "";
if (args.gateway && token === "") {
  fail("ANABRANCH_POOL_TOKEN is not set: it is the gateway's secret for workers");
}
const port = whole("port", 0, 65535) ?? 0;
const kvMib = whole("kv-mib", 1, 1 << 24);
const maxRunning = whole("max-running", 1, 65536);
const maxQueue = whole("max-queue", 1, 1 << 20);

let model: TextModel;
try {
  model = await TextModel.open(path, args["model-id"]);
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}

const prompted = model.dialect ? undefined : promptedDialectOf(model);
const engine = new EngineSupervisor({
  modelId: model.id,
  defaultMaxTokens: whole("default-max-tokens", 1, 1 << 24) ?? 1024,
  engine: {
    model: path,
    ...(prompted === undefined ? {} : { dialect: prompted }),
    device: args.device,
    dtype,
    kvDtype,
    deterministic: args.deterministic,
    // One core stays free for Node, which would otherwise delay the engine's barriers.
    threads: whole("threads", 1, 1024) ?? Math.max(1, availableParallelism() - 1),
    ...(kvMib === undefined ? {} : { kvMib }),
    ...(maxRunning === undefined ? {} : { maxRunning }),
    ...(maxQueue === undefined ? {} : { maxQueue }),
  },
});

let pool: PoolMembership | undefined;
const metrics = new Metrics(model.id, () => engine.status());
const state: WorkerState = {
  model,
  engine,
  metrics,
  credential: process.env.ANABRANCH_WORKER_CREDENTIAL ?? randomBytes(32).toString("base64url"),
  contextTokens: 0, // set once the model is loaded, before anything is served
  prompted: prompted !== undefined,
  draining: false,
  onEnded: () => pool?.nudge(),
};

const rpc = connectNodeAdapter({ routes: routes(state) });
const server = createServer((request, response) => {
  if (request.method !== "GET" || request.url !== "/metrics") return rpc(request, response);
  void metrics.text().then((text) => {
    response.writeHead(200, { "content-type": metrics.contentType }).end(text);
  });
});

let closing = false;
async function close(code: number): Promise<never> {
  if (closing) return await new Promise<never>(() => {});
  closing = true;
  state.draining = true;
  await pool?.leave();
  server.close();
  server.closeAllConnections();
  await engine.close();
  process.exit(code);
}
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void close(0));
engine.onGiveUp = (message) => {
  log.error(message);
  void close(1);
};

if (args.device === "auto" && cudaDevices() === 0) {
  log.info("built with CUDA, but no driver answers: serving on the CPU");
}
log.info(`loading ${path}`);
const started = Date.now();
const status = await engine.start().catch((error: Error) => {
  log.error(error.message);
  return close(1);
});
state.contextTokens = status.model?.contextTokens ?? 0;
server.on("error", (error) => {
  log.error(`can't listen on ${args.host}:${port}: ${error.message}`);
  void close(1);
});
await new Promise<void>((listening) => server.listen(port, args.host, listening));
const address = server.address();
const bound = typeof address === "object" && address ? address.port : port;
const url = args.url ?? `http://${args.host}:${bound}`;
log.info(
  `${model.id} on ${status.model?.backend} after ${Date.now() - started} ms, serving at ${url}`,
);
if (args.gateway) {
  pool = new PoolMembership(
    {
      gateway: args.gateway,
      token,
      workerId: args.id ?? `${hostname()}-${bound}`,
      url,
      credential: state.credential,
    },
    () => engine.status(),
  );
  pool.join();
}
