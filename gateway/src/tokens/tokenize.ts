// POST /v1/tokenize
import { z } from "@hono/zod-openapi";
import { badField } from "../api-error.ts";
import type { AnswerRequest } from "../completions/answer-request.ts";
import { chatBody, chatRequest } from "../completions/chat-request.ts";
import { readBody } from "../http/body.ts";
import { jsonBody, tenantRoute } from "../http/route.ts";
import { type TextPrompt, tokensOf } from "./tokens-of.ts";

/** Whatever a chat has: its prompt may depend on it. */
const { messages, ...chatFields } = chatBody.shape;

const body = z
  .looseObject({
    ...chatFields,
    prompt: z.string().nullish(),
    add_special_tokens: z
      .boolean()
      .nullish()
      .openapi({ description: "Of a prompt. Default: true" }),
    messages: messages.nullish(),
    add_generation_prompt: z
      .boolean()
      .nullish()
      .openapi({ description: "Of messages. Default: true" }),
    return_token_strs: z.boolean().nullish(),
  })
  .openapi("TokenizeRequest");

type Body = z.output<typeof body>;

const encoder = new TextEncoder();

function promptOf(fields: Body): { prompt: TextPrompt | AnswerRequest; bare: boolean } {
  const { model, prompt: text, messages } = fields;
  if (typeof text === "string" && messages) {
    throw badField("messages", "'messages' can't be used with 'prompt'.");
  }
  if (messages) {
    const prompt = chatRequest({ ...fields, messages }, { id: "", endpoint: "chat.completions" });
    return { prompt, bare: fields.add_generation_prompt === false };
  }
  if (typeof text !== "string") {
    throw badField("prompt", "'prompt' or 'messages' is needed.", "missing_required_parameter");
  }
  return {
    prompt: {
      ...{ model, branchBytes: [] },
      prompts: [
        {
          field: "prompt",
          input: { case: "text", value: text },
          bytes: encoder.encode(text).byteLength,
        },
      ],
    },
    bare: fields.add_special_tokens === false,
  };
}

export const tokenize = tenantRoute({
  method: "post",
  path: "/v1/tokenize",
  summary: "The tokens of a prompt",
  request: jsonBody(body, { model: "smollm2", prompt: "The capital of Norway is" }),
  response: {
    description:
      "Their ids, as an answer to the prompt has them; of declared branches those that all begin with once, then the rest of each",
    schema: z.object({
      count: z.int(),
      max_model_len: z.int(),
      tokens: z.array(z.int()),
      token_strs: z.array(z.string()).nullable(),
    }),
  },
  async handle(context) {
    const fields = await readBody(context.request, body);
    const { prompt, bare } = promptOf(fields);
    const asked = { bare, texts: fields.return_token_strs ?? false };
    const { tokenIds, texts, model } = await tokensOf(prompt, asked, context);
    return {
      count: tokenIds.length,
      max_model_len: model.contextTokens,
      tokens: tokenIds,
      // Part of a character is a replacement character.
      token_strs: asked.texts ? texts : null,
    };
  },
});
