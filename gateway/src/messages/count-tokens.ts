// POST /v1/messages/count_tokens
import { z } from "@hono/zod-openapi";
import { chatRequest } from "../completions/chat-request.ts";
import { refuseOthers } from "../completions/foreign-fields.ts";
import { readBody } from "../http/body.ts";
import { jsonBody, tenantRoute } from "../http/route.ts";
import { tokensOf } from "../tokens/tokens-of.ts";
import { messageBody, messageChat, messageFields, namesOf, unsupported } from "./message-body.ts";

/** A message's, of which the tokens to decode may be left open. */
const body = z
  .looseObject({ ...messageFields, max_tokens: messageFields.max_tokens.nullish() })
  .openapi("MessageCountRequest");

export const countTokens = tenantRoute({
  method: "post",
  path: "/v1/messages/count_tokens",
  summary: "How many tokens the prompt of a message has",
  request: jsonBody(body, {
    ...{ model: "smollm2", messages: [{ role: "user", content: "What is a river?" }] },
  }),
  response: {
    description: "The tokens, as an answer's usage will count them",
    schema: z.object({ input_tokens: z.int() }),
  },
  async handle(context) {
    const fields = await readBody(context.request, body);
    refuseOthers(fields, messageBody, unsupported);
    const origin = { id: "", endpoint: "messages", nameOf: namesOf(fields) } as const;
    const { tokenIds } = await tokensOf(chatRequest(messageChat(fields), origin), {}, context);
    return { input_tokens: tokenIds.length };
  },
});
