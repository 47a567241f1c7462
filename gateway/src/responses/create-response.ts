// POST /v1/responses
import { type ChatMessage, chatRequest } from "../completions/chat-request.ts";
import { deliver } from "../completions/deliver.ts";
import { refuseOthers } from "../completions/foreign-fields.ts";
import { tenantObject } from "../environment.ts";
import { readBody } from "../http/body.ts";
import type { TenantContext } from "../http/context.ts";
import { jsonBody, tenantRoute } from "../http/route.ts";
import { inputMessages, nameOf, responseBody, responseChat, unsupported } from "./response-body.ts";
import { responseRenderer } from "./response-renderer.ts";
import { keptResponse, responseSchema } from "./show-response.ts";

/** The messages before the input, of the response that it follows. */
async function messagesBefore(
  id: string | null | undefined,
  context: TenantContext,
): Promise<ChatMessage[]> {
  if (!id) return [];
  const { messages } = await keptResponse(id, "previous_response_id", context);
  return JSON.parse(messages);
}

export const createResponse = tenantRoute({
  method: "post",
  path: "/v1/responses",
  summary: "Answers an input, and keeps the response for others to follow",
  request: jsonBody(responseBody, {
    ...{ model: "smollm2:branching", input: "What are three tips for staying healthy?" },
  }),
  response: {
    description: "A response, or with `stream` its events as server-sent events",
    stream: "`event: ` and its type, `data: ` and the event as JSON, event by event",
    schema: responseSchema,
  },
  async handle(context) {
    const { env, caller, requestId } = context;
    const fields = await readBody(context.request, responseBody);
    refuseOthers(fields, responseBody, unsupported);
    const before = await messagesBefore(fields.previous_response_id, context);
    const messages = [...before, ...inputMessages(fields)];
    const origin = { id: `resp_${requestId}`, endpoint: "responses", nameOf } as const;
    const renderer = responseRenderer(fields, async ({ response, answer }) => {
      if (fields.store === false) return;
      const kept = {
        response: JSON.stringify(response),
        messages: JSON.stringify([...messages, answer]),
      };
      await tenantObject(env, caller.tenantId).keepResponse(response.id, kept);
    });
    return deliver(chatRequest(responseChat(fields, messages), origin), renderer, context);
  },
});
