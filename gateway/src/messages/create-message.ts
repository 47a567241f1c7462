// POST /v1/messages
import { z } from "@hono/zod-openapi";
import { answerPart } from "../completions/answer-part.ts";
import { chatRequest } from "../completions/chat-request.ts";
import { deliver } from "../completions/deliver.ts";
import { refuseOthers } from "../completions/foreign-fields.ts";
import { readBody } from "../http/body.ts";
import { jsonBody, tenantRoute } from "../http/route.ts";
import { messageBody, messageChat, namesOf, unsupported } from "./message-body.ts";
import { messageRenderer } from "./message-renderer.ts";

const block = z.union([
  z.object({ type: z.literal("text"), text: z.string(), citations: z.null() }),
  z.object({ type: z.literal("thinking"), thinking: z.string(), signature: z.string() }),
  z.object({
    type: z.literal("tool_use"),
    id: z.string(),
    name: z.string(),
    input: z.record(z.string(), z.unknown()),
  }),
]);

const answer = z
  .object({
    id: z.string(),
    type: z.literal("message"),
    role: z.literal("assistant"),
    model: z.string(),
    content: z.array(block),
    stop_reason: z.enum(["end_turn", "max_tokens", "stop_sequence", "tool_use"]),
    stop_sequence: z.string().nullable(),
    usage: z.object({
      input_tokens: z.int(),
      output_tokens: z.int(),
      cache_creation_input_tokens: z.int(),
      cache_read_input_tokens: z.int(),
    }),
    anabranch: z.object({ parts: z.array(answerPart) }),
  })
  .openapi("Message");

export const createMessage = tenantRoute({
  method: "post",
  path: "/v1/messages",
  summary: "Answers a conversation, as Anthropic's API does",
  request: jsonBody(messageBody, {
    ...{ model: "smollm2:branching", max_tokens: 500 },
    messages: [{ role: "user", content: "What are three tips for staying healthy?" }],
  }),
  response: {
    description: "A message, or with `stream` its events as server-sent events",
    stream: "`event: ` and its type, `data: ` and the event as JSON, event by event",
    schema: answer,
  },
  async handle(context) {
    const fields = await readBody(context.request, messageBody);
    refuseOthers(fields, messageBody, unsupported);
    const request = chatRequest(messageChat(fields), {
      ...{ id: `msg_${context.requestId}`, endpoint: "messages", nameOf: namesOf(fields) },
    });
    const carried = fields.anabranch !== undefined && fields.anabranch !== null;
    return deliver(request, (head) => messageRenderer(head, carried), context);
  },
});
