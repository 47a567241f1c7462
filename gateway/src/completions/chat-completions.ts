// POST /v1/chat/completions
import type { TokenLogprob } from "@anabranch/shared/proto/anabranch/v1/generate_pb.js";
import { createRoute, z } from "@hono/zod-openapi";
import { badField } from "../api-error.ts";
import { readBody } from "../http/body.ts";
import { errorResponses } from "../http/error-responses.ts";
import type { AnswerRequest, Surroundings } from "./answer.ts";
import { deliver, type RendererOf } from "./deliver.ts";
import { chatLogprobs } from "./logprobs.ts";
import { parameters, refuseUnsupported, settingsOf } from "./parameters.ts";
import { finishWord, usageBlock } from "./renderer.ts";

const textPart = z.object({ type: z.literal("text", "only text parts"), text: z.string() });
const content = z.union([z.string(), z.array(textPart).min(1)]);

const message = z.discriminatedUnion("role", [
  z.object({ role: z.enum(["system", "developer", "user"]), content, name: z.string().nullish() }),
  z.object({
    role: z.literal("assistant"),
    content: content.nullish(),
    name: z.string().nullish(),
  }),
]);

export const body = z
  .looseObject({
    ...parameters,
    messages: z.array(message).min(1, "at least one message is needed"),
    max_completion_tokens: parameters.max_tokens,
    logprobs: z.boolean().nullish(),
    top_logprobs: z.int().min(0).max(20).nullish(),
    response_format: z
      .looseObject({ type: z.literal("text", "only the type text is supported") })
      .nullish(),
  })
  .openapi("ChatCompletionRequest");

const unsupported = ["tools", "functions", "audio", "prediction", "web_search_options"];

type Body = z.output<typeof body>;
type Message = Body["messages"][number];

export const route = createRoute({
  method: "post",
  path: "/v1/chat/completions",
  summary: "Answers a conversation, branching where the answer has independent parts",
  security: [{ key: [] }],
  request: { body: { required: true, content: { "application/json": { schema: body } } } },
  responses: {
    200: {
      description: "A chat.completion, or with `stream` its chunks as server-sent events",
      content: { "application/json": { schema: z.looseObject({}) } },
    },
    ...errorResponses,
  },
});

function textOf(message: Message): string {
  const { content } = message;
  if (typeof content === "string") return content;
  return (content ?? []).map((part) => part.text).join("");
}

const encoder = new TextEncoder();
const bytesIn = (text: string) => encoder.encode(text).byteLength;
/** What a chat template may add: in all, and around each message. */
const templateTokens = 64;
const messageTokens = 16;

function answerRequest(fields: Body, requestId: string): AnswerRequest {
  const logprobs = fields.logprobs ?? false;
  const topLogprobs = fields.top_logprobs ?? 0;
  if (topLogprobs > 0 && !logprobs) {
    throw badField("top_logprobs", "'top_logprobs' needs 'logprobs' to be true.");
  }
  const maxTokens = fields.max_completion_tokens ?? fields.max_tokens ?? null;
  const messages = fields.messages.map((each) => ({
    // OpenAI's newer name of the same thing; chat templates know the older.
    role: each.role === "developer" ? "system" : each.role,
    content: textOf(each),
    name: each.name ?? "",
  }));
  const promptBytes = messages.reduce(
    (sum, { role, content, name }) => sum + bytesIn(role + content + name) + messageTokens,
    templateTokens,
  );
  return {
    requestId,
    endpoint: "chat.completions",
    model: fields.model,
    input: { case: "chat", value: { messages } },
    promptField: "messages",
    promptBytes,
    question: messages.findLast(({ role }) => role === "user")?.content ?? null,
    settings: settingsOf(fields, maxTokens, { logprobs, topLogprobs }),
  };
}

const chatRenderer: RendererOf = (id, model, created, logprobsAsked, includeUsage) => {
  const head = { id, object: "chat.completion.chunk", created, model };
  const noUsage = includeUsage ? { usage: null } : {};
  const shown = (logprobs: readonly TokenLogprob[]) =>
    logprobsAsked ? chatLogprobs(logprobs) : null;
  const chunk = (
    delta: object,
    logprobs: object | null,
    finish_reason: string | null,
    mark: object | undefined,
  ) => ({
    ...head,
    choices: [{ index: 0, delta, logprobs, finish_reason }],
    ...noUsage,
    ...(mark ? { anabranch: mark } : {}),
  });
  return {
    opening: (mark) => chunk({ role: "assistant", content: "" }, null, null, mark),
    fragment: ({ text, logprobs, mark }) =>
      chunk(
        mark && mark.event !== "delta" ? {} : { content: text },
        logprobs.length > 0 ? shown(logprobs) : null,
        null,
        mark,
      ),
    closing: (reason, mark) => chunk({}, null, finishWord(reason), mark),
    usage: (counts) => ({ ...head, choices: [], usage: usageBlock(counts) }),
    whole: (text, logprobs, reason, counts) => ({
      ...{ id, object: "chat.completion", created, model },
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: text, refusal: null },
          logprobs: shown(logprobs),
          finish_reason: finishWord(reason),
        },
      ],
      usage: usageBlock(counts),
    }),
  };
};

export async function handle(request: Request, around: Surroundings): Promise<Response> {
  const fields = await readBody(request, body);
  refuseUnsupported(fields, unsupported);
  const id = `chatcmpl-${crypto.randomUUID().replaceAll("-", "")}`;
  return deliver(answerRequest(fields, id), chatRenderer, around);
}
