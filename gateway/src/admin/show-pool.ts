// GET /admin/v1/pool
import { z } from "@hono/zod-openapi";
import { operatorRoute } from "../http/route.ts";
import type { Model, PoolWorker, WorkerLoad } from "../pool/pool.ts";
import { loadOf } from "../pool/pool-service.ts";
import { poolView } from "../pool/pool-view.ts";
import { credentials, workerClient } from "../routing/worker-client.ts";

const served = z.object({
  id: z.string(),
  base: z.string().nullable().openapi({ description: "Of an adapter: the model that it changes" }),
  digest: z.string().openapi({ description: "Of its weights, tokenizer and chat template" }),
  backend: z.string().openapi({ description: "The device and the code path that it runs on" }),
  dialect: z.string().nullable(),
  context_tokens: z.int(),
});

const worker = z
  .object({
    id: z.string(),
    kind: z.enum(["worker", "upstream"]).openapi({
      description: "upstream: a server with OpenAI's API, whose load is not known",
    }),
    url: z.string(),
    healthy: z.boolean(),
    draining: z.boolean(),
    models: z.array(z.string()),
    served: z.array(served).openapi({ description: "The same models, with what is known of each" }),
    kv: z.object({ free: z.int(), total: z.int() }).openapi({ description: "Blocks" }),
    requests: z.object({ running: z.int(), queued: z.int(), lanes: z.int() }),
    registered_at: z.int().openapi({ description: "ms since the epoch" }),
    seen_at: z.int().openapi({ description: "ms since the epoch" }),
  })
  .openapi("PoolWorker");

const askMs = 500;

/** The load that the worker itself reports now; null if it does not answer. */
async function loadNow(worker: PoolWorker): Promise<WorkerLoad | null> {
  const { url, credential } = worker;
  // An upstream reports none.
  if (worker.upstream) return worker.load;
  try {
    const headers = credentials({ credential });
    const { load } = await workerClient(url).describe({}, { headers, timeoutMs: askMs });
    return load ? loadOf(load) : null;
  } catch {
    return null;
  }
}

const viewOf = ({ id, base, digest, backend, dialect, contextTokens }: Model) => ({
  ...{ id, base: base ?? null, digest, backend },
  ...{ dialect: dialect || null, context_tokens: contextTokens },
});

export const showPool = operatorRoute({
  method: "get",
  path: "/admin/v1/pool",
  summary: "The workers, and how busy they are now",
  response: { description: "The pool", schema: z.object({ workers: z.array(worker) }) },
  async handle({ env, waitUntil }) {
    const view = await poolView(env, waitUntil, true);
    const workers = await Promise.all(
      view.workers.map(async (each): Promise<z.output<typeof worker>> => {
        const now = each.healthy ? await loadNow(each) : null;
        const load = now ?? each.load;
        return {
          id: each.id,
          kind: each.upstream ? "upstream" : "worker",
          url: each.url,
          healthy: now !== null,
          draining: each.draining,
          models: each.models.map(({ id }) => id),
          served: each.models.map(viewOf),
          kv: { free: load.kvBlocksFree, total: load.kvBlocksTotal },
          requests: {
            running: load.runningRequests,
            queued: load.queuedRequests,
            lanes: load.liveLanes,
          },
          registered_at: each.registeredAt,
          seen_at: each.seenAt,
        };
      }),
    );
    return { workers };
  },
});
