// DELETE /v1/responses/{id}
import { z } from "@hono/zod-openapi";
import { tenantObject } from "../environment.ts";
import { tenantRoute } from "../http/route.ts";
import { responseNotFound, responseParams } from "./show-response.ts";

export const deleteResponse = tenantRoute({
  method: "delete",
  path: "/v1/responses/{id}",
  summary: "Forgets a response",
  request: responseParams,
  response: {
    description: "It is gone; responses that follow it stay",
    schema: z.object({ id: z.string(), object: z.literal("response"), deleted: z.literal(true) }),
  },
  async handle({ env, caller, params: { id = "" } }) {
    const removed = await tenantObject(env, caller.tenantId).removeResponse(id);
    if (!removed) throw responseNotFound(id, "id");
    return { id, object: "response" as const, deleted: true as const };
  },
});
