// A request of OpenAI's Responses API, and the chat that it is.
import { z } from "@hono/zod-openapi";
import type { NameOf } from "../api-error.ts";
import {
  type ChatBody,
  type ChatMessage,
  chatOptions,
  maxMessages,
} from "../completions/chat-request.ts";
import type { responseFormat } from "../completions/constraint.ts";
import { maxParts } from "../completions/message-content.ts";
import { parameters } from "../completions/parameters.ts";
import { maxTools, toolName } from "../completions/tools.ts";
import { list } from "../http/list.ts";

const json = z.record(z.string(), z.unknown());

const part = z.object({
  type: z.enum(["input_text", "output_text", "text"], "only text parts"),
  text: z.string(),
});
const texts = z.union([z.string(), list(part, maxParts)]);

const message = z.object({
  type: z.literal("message").nullish(),
  role: z.enum(["user", "system", "developer", "assistant"]),
  content: texts,
});

const item = z.union([
  message,
  z.object({
    type: z.literal("function_call"),
    call_id: z.string().min(1),
    name: z.string(),
    arguments: z.string(),
  }),
  z.object({ type: z.literal("function_call_output"), call_id: z.string().min(1), output: texts }),
  z
    .object({ type: z.literal("reasoning") })
    .openapi({ description: "Of an earlier answer. The model is not shown it again" }),
]);

const tool = z.object({
  type: z.literal("function", "only functions"),
  name: toolName,
  description: z.string().nullish(),
  parameters: json.nullish(),
  strict: z.boolean().nullish(),
});

const format = z.discriminatedUnion("type", [
  z.object({ type: z.literal("text") }),
  z.object({ type: z.literal("json_object") }),
  z.object({
    type: z.literal("json_schema"),
    name: z.string().regex(/^[\w-]{1,64}$/, "1 to 64 letters, digits, - and _"),
    schema: json,
    description: z.string().nullish(),
    strict: z.boolean().nullish(),
  }),
]);

const metadata = z
  .record(z.string().max(64), z.string().max(512))
  .refine((given) => Object.keys(given).length <= 16, "at most 16 pairs");

export const responseBody = z
  .looseObject({
    model: z.string().min(1),
    input: z.union([z.string().min(1), list(item, maxMessages).min(1)]),
    instructions: z.string().nullish(),
    previous_response_id: z.string().nullish(),
    store: z.boolean().nullish().openapi({ description: "Default: true" }),
    metadata: metadata.nullish(),
    max_output_tokens: parameters.max_tokens,
    temperature: parameters.temperature,
    top_p: parameters.top_p,
    top_logprobs: z.int().min(0).max(20).nullish(),
    include: list(z.literal("message.output_text.logprobs"), 1).nullish(),
    text: z
      .object({ format: format.nullish(), verbosity: z.null("not supported").optional() })
      .nullish(),
    tools: list(tool, maxTools).nullish(),
    tool_choice: z
      .union([
        z.enum(["none", "auto", "required"]),
        z.object({ type: z.literal("function"), name: z.string() }),
      ])
      .nullish(),
    parallel_tool_calls: z.boolean().nullish(),
    truncation: z.literal("disabled", "only disabled").nullish(),
    chat_template_kwargs: json.nullish(),
    stream: z.boolean().nullish(),
    anabranch: chatOptions,
  })
  .openapi("ResponseRequest");

/** Fields of OpenAI's API that would change the answer. */
export const unsupported = [
  ...["background", "conversation", "prompt", "reasoning", "max_tool_calls", "moderation"],
  ...["context_management", "image"],
];

export type ResponseBody = z.output<typeof responseBody>;

const textOf = (given: z.output<typeof texts>): string =>
  typeof given === "string" ? given : given.map(({ text }) => text).join("");

/** The input as messages of a chat: calls belong to the answer before them. */
export function inputMessages({ input }: ResponseBody): ChatMessage[] {
  if (typeof input === "string") return [{ role: "user", content: input }];
  const out: ChatMessage[] = [];
  for (const each of input) {
    if (each.type === "reasoning") continue;
    if (each.type === "function_call_output") {
      out.push({ role: "tool", tool_call_id: each.call_id, content: textOf(each.output) });
    } else if (each.type === "function_call") {
      const { call_id: id, name, arguments: given } = each;
      const call = { id, function: { name, arguments: given } };
      const last = out.at(-1);
      if (last?.role === "assistant") last.tool_calls = [...(last.tool_calls ?? []), call];
      else out.push({ role: "assistant", content: "", tool_calls: [call] });
    } else {
      out.push({ role: each.role, content: textOf(each.content) });
    }
  }
  return out;
}

function responseFormatOf(given: z.output<typeof format>): z.output<typeof responseFormat> {
  if (given.type !== "json_schema") return given;
  const { type, ...json_schema } = given;
  return { type, json_schema };
}

/** @param messages of the conversation, the input included */
export function responseChat(fields: ResponseBody, messages: readonly ChatMessage[]): ChatBody {
  const { model, instructions, temperature, top_p, stream, anabranch, text, tools } = fields;
  const { tool_choice: choice, parallel_tool_calls, chat_template_kwargs } = fields;
  const topLogprobs = fields.top_logprobs ?? 0;
  return {
    ...{ model, temperature, top_p, stream, anabranch, parallel_tool_calls, chat_template_kwargs },
    messages: [
      ...(instructions ? [{ role: "system" as const, content: instructions }] : []),
      ...messages,
    ],
    max_tokens: fields.max_output_tokens,
    logprobs: topLogprobs > 0 || (fields.include ?? []).length > 0,
    top_logprobs: topLogprobs,
    ...(text?.format && { response_format: responseFormatOf(text.format) }),
    ...(tools && { tools: tools.map(({ type, ...given }) => ({ type, function: given })) }),
    tool_choice:
      typeof choice === "object" && choice
        ? { type: "function", function: { name: choice.name } }
        : choice,
  };
}

/** What a field of the chat is called here. */
export const nameOf: NameOf = (field) =>
  field
    .replace(/^messages\b.*/, "input")
    .replace(/^max_tokens$/, "max_output_tokens")
    .replace(/^(tools\[\d+\])\.function/, "$1")
    .replace(/^response_format(\.json_schema)?/, "text.format");
