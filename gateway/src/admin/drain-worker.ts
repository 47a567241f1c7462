// POST /admin/v1/pool/{id}/drain
import { z } from "@hono/zod-openapi";
import { ApiError } from "../api-error.ts";
import { poolObject } from "../environment.ts";
import { operatorRoute } from "../http/route.ts";
import { AuditStore } from "./audit-store.ts";

export const drainWorker = operatorRoute({
  method: "post",
  path: "/admin/v1/pool/{id}/drain",
  summary: "Gives a worker no new requests until it registers again; what it runs goes on",
  request: { params: z.object({ id: z.string() }) },
  response: { description: "It gets none", schema: z.object({ draining: z.literal(true) }) },
  async handle(context) {
    const { id = "" } = context.params;
    if (!(await poolObject(context.env).drain(id))) {
      const message = `There is no worker with the id '${id}'.`;
      throw new ApiError(404, message, { code: "worker_not_found" });
    }
    await new AuditStore(context).entry({
      ...{ action: "worker.drain", tenantId: "", keyId: "", detail: { id } },
    });
    return { draining: true as const };
  },
});
