// The Pool RPC (pool.proto): a thin transport to the pool's object.
import { Pool } from "@anabranch/shared/proto/anabranch/v1/pool_pb.js";
import type {
  Load,
  ModelInfo,
  StepCosts as ReportedCosts,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { Code, ConnectError, createConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { createFetchHandler } from "@connectrpc/connect/protocol";
import { sameSecret } from "../auth/api-key.ts";
import { type Environment, poolObject } from "../environment.ts";
import { idle, type Model, type StepCosts, type WorkerLoad } from "./pool.ts";

export function modelOf(info: ModelInfo): Model {
  const { id, digest, backend, dialect, contextTokens, defaultMaxTokens } = info;
  const base = info.base === "" ? {} : { base: info.base };
  const threshold = info.autoThreshold === undefined ? {} : { autoThreshold: info.autoThreshold };
  const model = {
    ...{ id, digest, backend, dialect, contextTokens, defaultMaxTokens },
    ...base,
    ...threshold,
  };
  if (!info.samplingDefaults) return model;
  const { $typeName: _, ...samplingDefaults } = info.samplingDefaults;
  return { ...model, samplingDefaults };
}

export function loadOf(load: Load): WorkerLoad {
  return {
    runningRequests: load.runningRequests,
    queuedRequests: load.queuedRequests,
    liveLanes: load.liveLanes,
    kvBlocksFree: Number(load.kvBlocksFree),
    kvBlocksTotal: Number(load.kvBlocksTotal),
    prefillTokens: Number(load.prefillTokens),
    contextTokens: Number(load.contextTokens),
    stepCosts: load.stepCosts ? stepCostsOf(load.stepCosts) : null,
    maxRunning: load.maxRunning || null,
    msBetweenEnds: load.msBetweenEnds || null,
  };
}

function stepCostsOf({ stepMs, laneMs, prefillMs, contextMs }: ReportedCosts): StepCosts {
  return { stepMs, laneMs, prefillMs, contextMs };
}

function required(name: string, value: string): string {
  if (value === "") throw new ConnectError(`${name} is missing`, Code.InvalidArgument);
  return value;
}

/** An http(s) URL without a trailing slash: the client appends service names to it. */
function workerUrl(text: string): string {
  const url = URL.parse(required("url", text));
  if (!url || !["http:", "https:"].includes(url.protocol)) {
    throw new ConnectError("url is not an http(s) address", Code.InvalidArgument);
  }
  return url.href.replace(/\/+$/, "");
}

async function admit(env: Environment, context: HandlerContext): Promise<void> {
  const given = /^bearer\s+(\S+)$/i.exec(context.requestHeader.get("authorization") ?? "")?.[1];
  if (!given || !env.ANABRANCH_POOL_TOKEN || !(await sameSecret(given, env.ANABRANCH_POOL_TOKEN))) {
    throw new ConnectError("this needs the pool token", Code.Unauthenticated);
  }
}

function routes(env: Environment) {
  const router = createConnectRouter();
  router.service(Pool, {
    async register(request, context) {
      await admit(env, context);
      return poolObject(env).register({
        id: required("worker_id", request.workerId),
        url: workerUrl(request.url),
        credential: required("credential", request.credential),
        models: request.models.map(modelOf),
        load: request.load ? loadOf(request.load) : idle,
      });
    },
    async heartbeat(request, context) {
      await admit(env, context);
      const load = request.load ? loadOf(request.load) : null;
      const known = await poolObject(env).heartbeat(request.workerId, load, request.draining);
      return { known };
    },
    async drain(request, context) {
      await admit(env, context);
      await poolObject(env).drain(request.workerId);
      return {};
    },
  });
  return new Map(
    router.handlers.map((handler) => [handler.requestPath, createFetchHandler(handler)]),
  );
}

/** Serves a Pool call; null if the path is none of its methods. */
export async function servePool(request: Request, env: Environment): Promise<Response | null> {
  const handler = routes(env).get(new URL(request.url).pathname);
  return handler ? handler(request) : null;
}
