// GET /v1/models/{model}
import { createRoute, z } from "@hono/zod-openapi";
import { ApiError } from "../api-error.ts";
import type { Environment } from "../environment.ts";
import { errorResponses } from "../http/error-responses.ts";
import { availableModels, model } from "./available-models.ts";

export const route = createRoute({
  method: "get",
  path: "/v1/models/{model}",
  summary: "One model",
  security: [{ key: [] }],
  request: { params: z.object({ model: z.string() }) },
  responses: {
    200: { description: "The model", content: { "application/json": { schema: model } } },
    ...errorResponses,
  },
});

export async function handle(
  id: string,
  env: Environment,
  waitUntil: (promise: Promise<unknown>) => void,
): Promise<Response> {
  const found = (await availableModels(env, waitUntil)).find((each) => each.id === id);
  if (found) return Response.json(found);
  throw new ApiError(404, `The model '${id}' does not exist or you do not have access to it.`, {
    param: "model",
    code: "model_not_found",
  });
}
