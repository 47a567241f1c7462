// GET /v1/models
import { createRoute, z } from "@hono/zod-openapi";
import type { Environment } from "../environment.ts";
import { errorResponses } from "../http/error-responses.ts";
import { availableModels, model } from "./available-models.ts";

export const route = createRoute({
  method: "get",
  path: "/v1/models",
  summary: "The models that some healthy worker has",
  security: [{ key: [] }],
  responses: {
    200: {
      description: "The models",
      content: {
        "application/json": {
          schema: z.object({ object: z.literal("list"), data: z.array(model) }),
        },
      },
    },
    ...errorResponses,
  },
});

export async function handle(
  env: Environment,
  waitUntil: (promise: Promise<unknown>) => void,
): Promise<Response> {
  return Response.json({ object: "list", data: await availableModels(env, waitUntil) });
}
