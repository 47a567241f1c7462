// npm run worker: one machine of the pool. It loads a model into a supervised engine process, serves the
// Worker service, and registers with its gateway.
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { hostname } from "node:os";
import { cudaDevices } from "@anabranch/native";
import { failCommand } from "@anabranch/shared/cli/command.ts";
import { neutralSampling, type SamplingDefaults } from "@anabranch/shared/sampling-defaults.ts";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { EngineSupervisor } from "./engine/supervisor.ts";
import { log } from "./log.ts";
import { LongPrompts } from "./long-prompts.ts";
import { Metrics } from "./metrics.ts";
import { adapterText, engineAdapter, locateAdapter } from "./model/adapter.ts";
import { locateModel } from "./model/locate.ts";
import type { Json } from "./model/model-files.ts";
import { outlineRulesOf } from "./model/outline.ts";
import { samplingDefaultsOf } from "./model/sampling-defaults.ts";
import { TextModel } from "./model/text-model.ts";
import { packedTokens } from "./model/token-texts.ts";
import { PoolMembership } from "./pool.ts";
import { ServedModels } from "./served-models.ts";
import { routes, type WorkerState } from "./service.ts";
import { readWorkerOptions, type WorkerOptions } from "./worker-options.ts";

function samplingDefaultsFor(
  wanted: WorkerOptions["samplingDefaults"],
  { do_sample, ...named }: Json,
): SamplingDefaults {
  if (wanted === "none") return neutralSampling;
  if (wanted === "model") return samplingDefaultsOf({ do_sample, ...named });
  // A temperature that is given counts.
  return samplingDefaultsOf({
    ...("temperature" in wanted ? {} : { do_sample }),
    ...named,
    ...wanted,
  });
}

/** Resolves the options, finds or fetches the model and reads its text files. */
async function prepare() {
  try {
    const args = readWorkerOptions();
    const located = await locateModel(args.model);
    const model = await TextModel.open(located, args.modelId);
    const samplingDefaults = samplingDefaultsFor(args.samplingDefaults, model.generationConfig);
    const adapters = await Promise.all(args.adapters.map(locateAdapter));
    const texts = new Map(adapters.map((each) => [each.name, adapterText(model, each)]));
    return { args, path: located.path, model, samplingDefaults, adapters, texts };
  } catch (error) {
    return failCommand("worker", error);
  }
}

const { args, path, model, samplingDefaults, adapters, texts } = await prepare();
for (const fault of new Set([model, ...texts.values()].map(({ templateFault }) => templateFault))) {
  if (fault !== undefined) log.warn(`${fault}; chats are refused`);
}
const { device, port, kvMib, maxContext, maxRunning, maxQueue } = args;
const { branchSchedule, maxTimePerTokenMs } = args;

const engine = new EngineSupervisor(
  {
    modelId: model.id,
    defaultMaxTokens: args.defaultMaxTokens,
    samplingDefaults,
    ...(args.autoThreshold === undefined ? {} : { autoThreshold: args.autoThreshold }),
    // A model with a dialect has no outlines, but its visible titles are compared as texts.
    outline: outlineRulesOf(model, args.outlineThresholds),
    tokenBytes: packedTokens(model.tokenBytes),
    engine: {
      model: path,
      adapters: adapters.map((each) => engineAdapter(each, texts.get(each.name) ?? model)),
      device,
      dtype: args.dtype,
      kvDtype: args.kvDtype,
      deterministic: args.deterministic,
      noOverlap: args.noOverlap,
      noLibrary: args.noLibrary,
      threads: args.threads,
      ...(kvMib === undefined ? {} : { kvMib }),
      ...(maxContext === undefined ? {} : { maxContext }),
      ...(maxRunning === undefined ? {} : { maxRunning }),
      ...(maxQueue === undefined ? {} : { maxQueue }),
      ...{ branchSchedule, maxTimePerTokenMs },
    },
  },
  (model) => state.models.find(model)?.text,
);

let pool: PoolMembership | undefined;
const metrics = new Metrics(model.id, () => engine.status());
const state: WorkerState = {
  models: new ServedModels(model, engine, texts),
  engine,
  prompts: new LongPrompts(),
  metrics,
  credential: process.env.ANABRANCH_WORKER_CREDENTIAL ?? randomBytes(32).toString("base64url"),
  contextTokens: 0, // set once the model is loaded, before anything is served
  draining: false,
  onEnded: () => pool?.nudge(),
  onModelsChanged: () => pool?.registerAgain(),
};

const rpc = connectNodeAdapter({ routes: routes(state) });
const server = createServer((request, response) => {
  if (request.method !== "GET" || request.url !== "/metrics") return rpc(request, response);
  void metrics.text().then((text) => {
    response.writeHead(200, { "content-type": metrics.contentType }).end(text);
  });
});

// workerd closes a connection that was idle for five seconds. It has to be the one that does: a request that it sends as this
// side closes the connection is lost.
server.keepAliveTimeout = 120_000;

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
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    log.info(`${signal}: leaving the pool and stopping; answers that run go on elsewhere`);
    void close(0);
  });
}
// `npm start`, if that is what started it, has ended without ending this process.
process.on("disconnect", () => void close(0));
if (process.connected === false) await close(0);

if (device === "auto" && cudaDevices() === 0) {
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
      token: args.poolToken,
      workerId: args.id ?? `${hostname()}-${bound}`,
      url,
      credential: state.credential,
    },
    engine,
  );
  pool.join();
}
