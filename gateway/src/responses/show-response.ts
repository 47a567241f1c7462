// GET /v1/responses/{id}
import { z } from "@hono/zod-openapi";
import { ApiError } from "../api-error.ts";
import { tenantObject } from "../environment.ts";
import type { TenantContext } from "../http/context.ts";
import { tenantRoute } from "../http/route.ts";
import type { KeptResponse } from "./response-store.ts";

const status = z.enum(["completed", "incomplete"]);

const item = z.union([
  z.object({
    ...{ id: z.string(), type: z.literal("message"), role: z.literal("assistant"), status },
    content: z.array(z.looseObject({ type: z.literal("output_text"), text: z.string() })),
  }),
  z.object({
    ...{ id: z.string(), type: z.literal("function_call"), status },
    ...{ call_id: z.string(), name: z.string(), arguments: z.string() },
  }),
  z.object({
    ...{ id: z.string(), type: z.literal("reasoning") },
    content: z.array(z.object({ type: z.literal("reasoning_text"), text: z.string() })),
  }),
]);

export const responseSchema = z
  .looseObject({
    id: z.string(),
    object: z.literal("response"),
    created_at: z.int(),
    model: z.string(),
    status,
    incomplete_details: z.object({ reason: z.literal("max_output_tokens") }).nullable(),
    output: z.array(item),
    usage: z.looseObject({
      input_tokens: z.int(),
      output_tokens: z.int(),
      total_tokens: z.int(),
    }),
  })
  .openapi("Response");

export const responseParams = { params: z.object({ id: z.string() }) };

export const responseNotFound = (id: string, param: string) =>
  new ApiError(param === "id" ? 404 : 400, `There is no response '${id}', or no longer.`, {
    ...{ param, code: param === "id" ? "response_not_found" : "previous_response_not_found" },
  });

/** A response that the tenant keeps. Throws if there is none: `param` names it in the request. */
export async function keptResponse(
  id: string,
  param: string,
  { env, caller }: TenantContext,
): Promise<KeptResponse> {
  const kept = await tenantObject(env, caller.tenantId).keptResponse(id);
  if (!kept) throw responseNotFound(id, param);
  return kept;
}

export const showResponse = tenantRoute({
  method: "get",
  path: "/v1/responses/{id}",
  summary: "A response that was kept",
  request: responseParams,
  response: { description: "As it was given", schema: responseSchema },
  async handle(context) {
    const { response } = await keptResponse(context.params.id ?? "", "id", context);
    return new Response(response, { headers: { "content-type": "application/json" } });
  },
});
