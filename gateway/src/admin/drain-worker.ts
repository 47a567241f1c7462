// POST /admin/v1/pool/{id}/drain
import { z } from "@hono/zod-openapi";
import { ApiError } from "../api-error.ts";
import { poolObject } from "../environment.ts";
import { operatorRoute } from "../http/route.ts";

export const drainWorker = operatorRoute({
  method: "post",
  path: "/admin/v1/pool/{id}/drain",
  summary: "Gives a worker no new requests until it registers again; what it runs goes on",
  request: { params: z.object({ id: z.string() }) },
  response: { description: "It gets none", schema: z.object({ draining: z.literal(true) }) },
  async handle({ env, params: { id = "" } }) {
    if (await poolObject(env).drain(id)) return { draining: true as const };
    throw new ApiError(404, `There is no worker with the id '${id}'.`, {
      code: "worker_not_found",
    });
  },
});
