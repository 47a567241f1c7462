// A request of Anthropic's Messages API, and the chat that it is.
import { z } from "@hono/zod-openapi";
import { badField, type NameOf } from "../api-error.ts";
import {
  type ChatBody,
  type ChatMessage,
  chatOptions,
  maxMessages,
  structure,
} from "../completions/chat-request.ts";
import { maxParts } from "../completions/message-content.ts";
import { parameters } from "../completions/parameters.ts";
import { maxTools, toolName } from "../completions/tools.ts";
import { list } from "../http/list.ts";

const maxStops = 16;
const json = z.record(z.string(), z.unknown());

const textBlock = z.object({ type: z.literal("text"), text: z.string() });
const texts = z.union([z.string(), list(textBlock, maxParts)]);

const resultBlock = z.object({
  type: z.literal("tool_result"),
  tool_use_id: z.string().min(1),
  content: texts.nullish(),
  is_error: z.boolean().nullish(),
});

const callBlock = z.object({
  type: z.literal("tool_use"),
  id: z.string().min(1),
  name: z.string(),
  input: json,
});

const thinkingBlock = z
  .object({ type: z.enum(["thinking", "redacted_thinking"]) })
  .openapi({ description: "Of an earlier answer. The model is not shown it again" });

const message = z.discriminatedUnion("role", [
  z.object({
    role: z.literal("user"),
    content: z.union([
      z.string(),
      list(z.discriminatedUnion("type", [textBlock, resultBlock]), maxParts).min(1),
    ]),
  }),
  z.object({
    role: z.literal("assistant"),
    content: z.union([
      z.string(),
      list(
        z.discriminatedUnion("type", [
          textBlock.extend({ anabranch: structure }),
          callBlock,
          thinkingBlock,
        ]),
        maxParts,
      ).min(1),
    ]),
    anabranch: structure,
  }),
]);

type Message = z.output<typeof message>;

const tool = z.object({
  type: z.literal("custom", "only tools of the request's own").nullish(),
  name: toolName,
  description: z.string().nullish(),
  input_schema: json.openapi({
    description: "A JSON Schema of an object; every call is valid for it",
  }),
});

const oneCall = { disable_parallel_tool_use: z.boolean().nullish() };

export const messageFields = {
  model: z.string().min(1),
  system: texts.nullish(),
  messages: list(message, maxMessages).min(1, "at least one message is needed"),
  tools: list(tool, maxTools).nullish(),
  tool_choice: z
    .discriminatedUnion("type", [
      z.object({ type: z.enum(["auto", "any"]), ...oneCall }),
      z.object({ type: z.literal("tool"), name: z.string(), ...oneCall }),
      z.object({ type: z.literal("none") }),
    ])
    .nullish(),
  thinking: z
    .object({ type: z.enum(["enabled", "disabled", "adaptive"]) })
    .nullish()
    .openapi({ description: "`enable_thinking` of the model's chat template" }),
  max_tokens: z.int().min(1).max(2_147_483_647),
  stop_sequences: list(z.string().min(1), maxStops).nullish(),
  temperature: parameters.temperature,
  top_p: parameters.top_p,
  top_k: parameters.top_k,
  output_config: z
    .object({
      format: z.object({ type: z.literal("json_schema"), schema: json }).nullish(),
    })
    .nullish(),
  stream: z.boolean().nullish(),
  anabranch: chatOptions,
};

export const messageBody = z.looseObject(messageFields).openapi("MessageRequest");

/** Fields of Anthropic's API that would change the answer. */
export const unsupported = ["container", "context_management", "mcp_servers", "output_format"];

type Fields = z.output<z.ZodObject<typeof messageFields>>;
/** Of an answer, or of a prompt whose tokens are counted. */
export type MessageBody = Omit<Fields, "max_tokens"> & {
  max_tokens?: number | null | undefined;
};

const textOf = (given: z.output<typeof texts> | null | undefined): string =>
  typeof given === "string" ? given : (given ?? []).map(({ text }) => text).join("");

/** A turn of the user: its texts, and before or between them the results of tools. */
function userMessages({ content }: Extract<Message, { role: "user" }>): ChatMessage[] {
  if (typeof content === "string") return [{ role: "user", content }];
  const out: ChatMessage[] = [];
  for (const block of content) {
    if (block.type === "tool_result") {
      out.push({ role: "tool", tool_call_id: block.tool_use_id, content: textOf(block.content) });
      continue;
    }
    const last = out.at(-1);
    if (last?.role === "user") last.content += block.text;
    else out.push({ role: "user", content: block.text });
  }
  return out;
}

function assistantMessage({
  content,
  anabranch: given,
}: Extract<Message, { role: "assistant" }>): ChatMessage {
  const blocks = typeof content === "string" ? [{ type: "text" as const, text: content }] : content;
  // Of a streamed answer its last block has the structure.
  const carried = blocks.map((block) => ("anabranch" in block ? block.anabranch : null));
  const anabranch = given ?? carried.find((each) => each);
  const calls = blocks.flatMap((block) =>
    block.type === "tool_use"
      ? [{ id: block.id, function: { name: block.name, arguments: JSON.stringify(block.input) } }]
      : [],
  );
  return {
    role: "assistant",
    content: blocks.map((block) => (block.type === "text" ? block.text : "")).join(""),
    ...(calls.length > 0 && { tool_calls: calls }),
    ...(anabranch && { anabranch }),
  };
}

type Choice = NonNullable<MessageBody["tool_choice"]>;

function toolChoiceOf(choice: Choice): ChatBody["tool_choice"] {
  if (choice.type === "tool") return { type: "function", function: { name: choice.name } };
  return choice.type === "any" ? "required" : choice.type;
}

const oneCallOf = (choice: Choice): boolean =>
  "disable_parallel_tool_use" in choice && choice.disable_parallel_tool_use === true;

/** The chat that this is. Throws what can't be asked. */
export function messageChat(fields: MessageBody): ChatBody {
  const { model, system, messages, tools, tool_choice: choice, thinking } = fields;
  const { max_tokens, stop_sequences: stop, stream, anabranch } = fields;
  const { temperature, top_p, top_k, output_config: output } = fields;
  if (messages.at(-1)?.role === "assistant") {
    throw badField(
      "messages",
      "The last message must be the user's: an answer can't be begun for the model.",
    );
  }
  const before = textOf(system);
  const format = output?.format;
  return {
    ...{ model, max_tokens, stop, temperature, top_p, top_k, stream, anabranch },
    messages: [
      ...(before === "" ? [] : [{ role: "system" as const, content: before }]),
      ...messages.flatMap((each) =>
        each.role === "user" ? userMessages(each) : [assistantMessage(each)],
      ),
    ],
    ...(tools && {
      tools: tools.map(({ name, description, input_schema }) => ({
        type: "function" as const,
        function: { name, description, parameters: input_schema },
      })),
    }),
    ...(choice && {
      tool_choice: toolChoiceOf(choice),
      parallel_tool_calls: !oneCallOf(choice),
    }),
    ...(thinking && { chat_template_kwargs: { enable_thinking: thinking.type !== "disabled" } }),
    ...(format && {
      response_format: {
        type: "json_schema" as const,
        json_schema: { name: "answer", schema: format.schema },
      },
    }),
  };
}

/** What a field of the chat is called here. */
export const namesOf =
  ({ system, messages }: MessageBody): NameOf =>
  (field) => {
    // A turn of the user may be several messages of the chat.
    const turns = messages.flatMap((each, index) =>
      (each.role === "user" ? userMessages(each) : [each]).map(() => index),
    );
    const before = textOf(system) === "" ? 0 : 1;
    return field
      .replace(/^messages\[(\d+)\]/, (_, index) => `messages[${turns[Number(index) - before]}]`)
      .replace(/^(tools\[\d+\])\.function\.parameters/, "$1.input_schema")
      .replace(/^(tools\[\d+\])\.function/, "$1")
      .replace(/^response_format(\.json_schema)?/, "output_config.format")
      .replace(/^stop$/, "stop_sequences");
  };
