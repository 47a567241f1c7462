// GET /v1/models/{model}
import { z } from "@hono/zod-openapi";
import { modelNotFound, requireModel } from "../api-error.ts";
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
  scope: null,
  async handle({ params, env, waitUntil, caller }) {
    const id = params.model ?? "";
    requireModel(caller.models, id);
    const found = (await availableModels(env, waitUntil)).find((each) => each.id === id);
    if (!found) throw modelNotFound(id);
    return found;
  },
});
