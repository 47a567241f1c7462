// GET /v1/models/{model}
import { z } from "@hono/zod-openapi";
import { modelNotFound } from "../api-error.ts";
import { tenantRoute } from "../http/route.ts";
import { availableModels, model } from "./available-models.ts";

export const showModel = tenantRoute({
  method: "get",
  path: "/v1/models/{model}",
  // Names of models may contain slashes.
  pattern: "/v1/models/:model{.+}",
  summary: "One model",
  request: { params: z.object({ model: z.string() }) },
  response: { description: "The model", schema: model },
  async handle({ params, env, waitUntil }) {
    const id = params.model ?? "";
    const found = (await availableModels(env, waitUntil)).find((each) => each.id === id);
    if (!found) throw modelNotFound(id);
    return found;
  },
});
