// GET /v1/models
import { z } from "@hono/zod-openapi";
import { tenantRoute } from "../http/route.ts";
import { availableModels, model } from "./available-models.ts";

export const listModels = tenantRoute({
  method: "get",
  path: "/v1/models",
  summary: "The models that some healthy worker has, and that the key may use",
  scope: null,
  response: {
    description: "The models",
    schema: z.object({ object: z.literal("list"), data: z.array(model) }),
  },
  handle: async ({ env, waitUntil, caller: { models } }) => ({
    object: "list" as const,
    data: (await availableModels(env, waitUntil)).filter(
      ({ id }) => !models || models.includes(id),
    ),
  }),
});
