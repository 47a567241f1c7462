// POST /v1/detokenize
import { z } from "@hono/zod-openapi";
import { badField } from "../api-error.ts";
import { findModel } from "../completions/admission.ts";
import { readBody } from "../http/body.ts";
import { list } from "../http/list.ts";
import { jsonBody, tenantRoute } from "../http/route.ts";
import { askWorker } from "../routing/ask-worker.ts";

const maxTokens = 1_000_000;

const body = z
  .looseObject({
    model: z.string().min(1),
    tokens: list(z.int().min(0).max(4_294_967_295), maxTokens),
  })
  .openapi("DetokenizeRequest");

export const detokenize = tenantRoute({
  method: "post",
  path: "/v1/detokenize",
  summary: "The text of tokens",
  request: jsonBody(body, { model: "smollm2", tokens: [504, 3575] }),
  response: {
    description: "The text, special tokens included",
    schema: z.object({ prompt: z.string() }),
  },
  async handle(context) {
    const { model: id, tokens: tokenIds } = await readBody(context.request, body);
    const { view, model } = await findModel(id, context);
    await context.reservation.countRequest();
    if (model.contextTokens > 0 && tokenIds.length > model.contextTokens) {
      throw badField(
        "tokens",
        `'tokens' has ${tokenIds.length} ids, more than the model's context of ${model.contextTokens}.`,
        "context_length_exceeded",
      );
    }
    const { text } = await askWorker(view, model.id, "tokens", (worker, call) =>
      worker.detokenize({ model: model.id, tokenIds }, call),
    );
    return { prompt: text };
  },
});
