// DELETE /admin/v1/upstreams/{id}
import { z } from "@hono/zod-openapi";
import { poolObject } from "../environment.ts";
import { operatorRoute } from "../http/route.ts";
import { AuditStore } from "./audit-store.ts";
import { noUpstream } from "./upstream-view.ts";

export const removeUpstream = operatorRoute({
  method: "delete",
  path: "/admin/v1/upstreams/{id}",
  summary: "Takes an upstream out of the pool; what it answers now goes on to its end",
  request: { params: z.object({ id: z.string() }) },
  response: {
    description: "It is gone",
    schema: z.object({ id: z.string(), removed: z.literal(true) }),
  },
  async handle(context) {
    const { id = "" } = context.params;
    if (!(await poolObject(context.env).removeUpstream(id))) throw noUpstream(id);
    await new AuditStore(context).entry({
      ...{ action: "upstream.remove", tenantId: "", keyId: "", detail: { id } },
    });
    return { id, removed: true as const };
  },
});
