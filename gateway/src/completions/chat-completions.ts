// POST /v1/chat/completions
import type { TokenLogprob } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { readBody } from "../http/body.ts";
import { jsonBody, tenantRoute } from "../http/route.ts";
import {
  type AnswerBit,
  type AnswerReader,
  type ReadCall,
  readAnswer,
  streamReader,
} from "./answer-reader.ts";
import { chatBody, chatRequest } from "./chat-request.ts";
import { deliver, type RendererOf } from "./deliver.ts";
import { refuseOthers } from "./foreign-fields.ts";
import { chatLogprobs } from "./logprobs.ts";
import { finishWord, structureOf, usageBlock } from "./renderer.ts";
import { chatCompletion } from "./responses.ts";

const unsupported = [
  ...["functions", "function_call", "audio", "prediction", "web_search_options"],
  ...["reasoning_effort", "verbosity"],
  ...["continue_final_message", "documents", "chat_template", "suffix", "prompt_logprobs"],
];

/** A bit of an answer as a chunk's delta. */
function deltaOf(bit: AnswerBit): object {
  if ("content" in bit) return bit;
  if ("thinking" in bit) return { reasoning_content: bit.thinking };
  const { call: index } = bit;
  const call =
    "name" in bit
      ? { index, id: bit.id, type: "function", function: { name: bit.name, arguments: "" } }
      : { index, function: { arguments: bit.arguments } };
  return { tool_calls: [call] };
}

const toolCallOf = ({ id, name, arguments: given }: ReadCall) => ({
  id,
  type: "function",
  function: { name, arguments: given },
});

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
    choice(index, facts) {
      const name = `${id} ${index}`;
      let reader: AnswerReader | undefined;
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
        opening: (mark) => [chunk({ role: "assistant", content: "" }, null, null, mark)],
        fragment: ({ text, logprobs, mark }) => {
          const block = logprobs.length > 0 ? shown(logprobs) : null;
          if (mark && mark.event !== "delta") return [chunk({}, block, null, mark)];
          reader ??= streamReader(facts, name, mark);
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
        whole: (document, reason) => {
          const { thinking, content, calls } = readAnswer(document.text, facts, name);
          return {
            index,
            message: {
              role: "assistant",
              content: calls.length > 0 ? content || null : content,
              refusal: null,
              ...(thinking !== "" && { reasoning_content: thinking }),
              ...(calls.length > 0 && { tool_calls: calls.map(toolCallOf) }),
              anabranch: structureOf(document, content, shown),
            },
            logprobs: shown(document.logprobs),
            finish_reason: finishWord(reason, calls.length),
          };
        },
      };
    },
    named: false,
    ending: (counts) => (includeUsage ? [{ ...head, choices: [], usage: usageBlock(counts) }] : []),
    failure: (error) => error.body,
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
  request: jsonBody(chatBody, {
    model: "smollm2:branching",
    messages: [{ role: "user", content: "What are three tips for staying healthy?" }],
  }),
  response: {
    description: "A chat.completion, or with `stream` its chunks as server-sent events",
    stream: "`data: ` and a chunk as JSON, event by event; at the end `data: [DONE]`",
    schema: chatCompletion,
  },
  async handle(context) {
    const fields = await readBody(context.request, chatBody);
    refuseOthers(fields, chatBody, unsupported);
    const id = `chatcmpl-${context.requestId}`;
    const request = chatRequest(fields, { id, endpoint: "chat.completions" });
    return deliver(request, chatRenderer, context);
  },
});
