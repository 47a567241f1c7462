// POST /v1/chat/completions
import { type AnswerPart, textOfParts, textUnderTitles } from "@anabranch/shared/parts.ts";
import type { TokenLogprob } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { z } from "@hono/zod-openapi";
import { badField } from "../api-error.ts";
import { readBody } from "../http/body.ts";
import { list } from "../http/list.ts";
import { jsonBody, tenantRoute } from "../http/route.ts";

import { answerPart } from "./answer-part.ts";
import type { AnswerRequest } from "./answer-request.ts";
import { branchesOf, declaredBranches } from "./declared-branches.ts";
import { deliver, type RendererOf } from "./deliver.ts";
import { chatLogprobs } from "./logprobs.ts";
import { content, maxParts, textOf } from "./message-content.ts";

import { options, parameters, refuseUnsupported, settingsOf } from "./parameters.ts";
import { finishWord, usageBlock } from "./renderer.ts";
import { chatCompletion } from "./responses.ts";
import { readToolCalls, type ToolBit, ToolCallReader } from "./tool-call-reader.ts";
import { toolCalls, toolFields, toolInput } from "./tools.ts";

const maxMessages = 10_000;

const message = z.discriminatedUnion("role", [
  z.object({ role: z.enum(["system", "developer", "user"]), content, name: z.string().nullish() }),
  z.object({
    role: z.literal("assistant"),
    content: content.nullish(),
    name: z.string().nullish(),
    tool_calls: toolCalls.nullish(),
    anabranch: z
      .object({ parts: list(answerPart, maxParts).nullish() })
      .nullish()
      .openapi({ description: "As it came with the answer; its texts in order are `content`" }),
  }),
  z.object({ role: z.literal("tool"), content, tool_call_id: z.string().min(1) }),
]);

const body = z
  .looseObject({
    ...parameters,
    messages: list(message, maxMessages).min(1, "at least one message is needed"),
    max_completion_tokens: parameters.max_tokens,
    logprobs: z.boolean().nullish(),
    top_logprobs: z.int().min(0).max(20).nullish(),
    ...toolFields,
    anabranch: options
      .extend({ branches: declaredBranches })
      .nullish()
      .openapi("AnabranchChatOptions"),
  })
  .openapi("ChatCompletionRequest");

const unsupported = ["functions", "audio", "prediction", "web_search_options"];

type Body = z.output<typeof body>;
type Message = Body["messages"][number];

/** The parts of an earlier answer that is sent back with its structure; else none. */
function partsOf(message: Message, index: number): AnswerPart[] {
  const parts = message.role === "assistant" ? message.anabranch?.parts : null;
  if (!parts) return [];
  const text = textOf(message.content);
  // No model wrote its titles: to the model it is plain text.
  if (textUnderTitles(parts) === text) return [];
  if (textOfParts(parts) !== text) {
    throw badField(
      `messages[${index}].anabranch.parts`,
      "The texts and bodies of 'parts' in order must be the message's 'content'. Send both as they came, or leave 'anabranch' out.",
      "invalid_value",
    );
  }
  return parts;
}

const encoder = new TextEncoder();
const bytesIn = (text: string) => encoder.encode(text).byteLength;
/** What a chat template may add: in total, and around each message. */
const templateTokens = 64;
const messageTokens = 16;
const toolTokens = 512;
/** What markers may add to a stage, and to each of its branches beside its title (written twice). */
const markerTokens = 16;

/** What the structure of an answer adds to its text. */
function structureBytes(parts: readonly AnswerPart[]): number {
  const branches = parts.flatMap((part) => ("parallel" in part ? [null, ...part.parallel] : []));
  return branches.reduce(
    (sum, branch) => sum + markerTokens + (branch ? 2 * bytesIn(branch.title) : 0),
    0,
  );
}

/** The calls of an earlier answer. */
const callsOf = (message: Message) =>
  (message.role === "assistant" ? (message.tool_calls ?? []) : []).map(
    ({ id, function: call }) => ({
      ...{ id, name: call.name, arguments: call.arguments },
    }),
  );

/** What tools, or calls of them, add to a prompt: their JSON, spaced out, and what explains them. */
const toolBytes = (given: readonly object[]): number =>
  given.length === 0 ? 0 : 2 * bytesIn(JSON.stringify(given)) + toolTokens;

function answerRequest(fields: Body, id: string): AnswerRequest {
  const logprobs = fields.logprobs ?? false;
  const topLogprobs = fields.top_logprobs ?? 0;
  if (topLogprobs > 0 && !logprobs) {
    throw badField("top_logprobs", "'top_logprobs' needs 'logprobs' to be true.");
  }
  const maxTokens = fields.max_completion_tokens ?? fields.max_tokens ?? null;
  const messages = fields.messages.map((each, index) => ({
    // "developer" is OpenAI's newer name of "system"; chat templates know the older one.
    role: each.role === "developer" ? "system" : each.role,
    content: textOf(each.content),
    name: ("name" in each ? each.name : null) ?? "",
    parts: partsOf(each, index),
    toolCalls: callsOf(each),
    toolCallId: each.role === "tool" ? each.tool_call_id : "",
  }));
  const promptBytes = messages.reduce(
    (sum, { role, content, name, parts, toolCalls }) =>
      sum +
      bytesIn(role + content + name) +
      structureBytes(parts) +
      toolBytes(toolCalls) +
      messageTokens,
    templateTokens,
  );
  const settings = settingsOf(fields, maxTokens, { logprobs, topLogprobs });
  const branches = branchesOf(fields.anabranch?.branches, settings);
  const tools = toolInput(fields, settings, branches.length > 0);
  return {
    id,
    endpoint: "chat.completions",
    model: fields.model,
    input: { case: "chat", value: { messages, branches, ...tools } },
    promptField: "messages",
    promptBytes: promptBytes + toolBytes(tools.tools ?? []),
    // Each has its own turn and its own beginning of an answer.
    branchBytes: branches.map(({ content }) => bytesIn(content) + 2 * messageTokens),
    question: messages.findLast(({ role }) => role === "user")?.content ?? null,
    turn: Math.max(1, messages.filter(({ role }) => role === "user").length),
    settings,
  };
}

/** A bit of an answer as a chunk's delta. */
function deltaOf(bit: ToolBit): object {
  if ("content" in bit) return bit;
  const { call: index } = bit;
  const call =
    "name" in bit
      ? { index, id: bit.id, type: "function", function: { name: bit.name, arguments: "" } }
      : { index, function: { arguments: bit.arguments } };
  return { tool_calls: [call] };
}

const chatRenderer: RendererOf = (
  { id, model, createdAt: created },
  withLogprobs,
  includeUsage,
) => {
  const head = { id, object: "chat.completion.chunk", created, model };
  const noUsage = includeUsage ? { usage: null } : {};
  const shown = (logprobs: readonly TokenLogprob[]) =>
    withLogprobs ? chatLogprobs(logprobs) : null;
  return {
    choice(index, toolFormat) {
      let reader: ToolCallReader | undefined;
      const chunk = (
        delta: object,
        logprobs: object | null,
        finish_reason: string | null,
        mark: object | undefined,
      ) => ({
        ...head,
        choices: [{ index, delta, logprobs, finish_reason }],
        ...noUsage,
        ...(mark ? { anabranch: mark } : {}),
      });
      return {
        opening: (mark) => chunk({ role: "assistant", content: "" }, null, null, mark),
        fragment: ({ text, logprobs, mark }) => {
          const block = logprobs.length > 0 ? shown(logprobs) : null;
          const format = toolFormat();
          if (!format) {
            const delta = mark && mark.event !== "delta" ? {} : { content: text };
            return [chunk(delta, block, null, mark)];
          }
          reader ??= new ToolCallReader(format, `${id} ${index}`);
          const [first = {}, ...others] = reader.push(text).map(deltaOf);
          return [
            chunk(first, block, null, mark),
            ...others.map((each) => chunk(each, null, null, mark)),
          ];
        },
        closing: (reason, mark) => [
          ...(reader?.end() ?? []).map((bit) => chunk(deltaOf(bit), null, null, mark)),
          chunk({}, null, finishWord(reason, reader?.calls), mark),
        ],
        whole: ({ text, parts, logprobs, stages }, reason) => {
          const format = toolFormat();
          if (format) {
            const { content, calls } = readToolCalls(text, format, `${id} ${index}`);
            return {
              index,
              message: {
                ...{ role: "assistant", content: content || null, refusal: null },
                ...(calls.length > 0 && { tool_calls: calls }),
                anabranch: { parts: content === "" ? [] : [{ serial: content }] },
              },
              logprobs: shown(logprobs),
              finish_reason: finishWord(reason, calls.length),
            };
          }
          const declared = stages.filter((stage) => stage.declared);
          const branches = declared
            .flatMap((stage) => stage.branches)
            .map((branch) => ({
              title: branch.title ?? "",
              finish_reason: branch.reason === "cap" ? "length" : "stop",
              logprobs: shown(branch.logprobs),
            }));
          const anabranch = { parts, ...(branches.length > 0 && { branches }) };
          return {
            index,
            message: { role: "assistant", content: text, refusal: null, anabranch },
            logprobs: shown(logprobs),
            finish_reason: finishWord(reason),
          };
        },
      };
    },
    usage: (counts) => ({ ...head, choices: [], usage: usageBlock(counts) }),
    whole: (choices, counts) => ({
      ...{ id, object: "chat.completion", created, model },
      choices,
      usage: usageBlock(counts),
    }),
  };
};

export const chatCompletions = tenantRoute({
  method: "post",
  path: "/v1/chat/completions",
  summary: "Answers a conversation, branching where the answer has independent parts",
  request: jsonBody(body, {
    model: "smollm2:branching",
    messages: [{ role: "user", content: "What are three tips for staying healthy?" }],
  }),
  response: {
    description: "A chat.completion, or with `stream` its chunks as server-sent events",
    stream: "`data: ` and a chunk as JSON, event by event; at the end `data: [DONE]`",
    schema: chatCompletion,
  },
  async handle(context) {
    const fields = await readBody(context.request, body);
    refuseUnsupported(fields, unsupported);
    const id = `chatcmpl-${context.requestId}`;
    return deliver(answerRequest(fields, id), chatRenderer, context);
  },
});
