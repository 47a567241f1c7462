// An answer as OpenAI's Responses API gives it: items, each with its events in a stream.
import type { AnswerPart } from "@anabranch/shared/parts.ts";
import { FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { TokenLogprob } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import type { AnswerHead } from "../completions/answer.ts";
import {
  type AnswerReader,
  type ReadAnswer,
  readAnswer,
  streamReader,
} from "../completions/answer-reader.ts";
import type { ChatMessage } from "../completions/chat-request.ts";
import { chatLogprobs } from "../completions/logprobs.ts";
import {
  type ChoiceFacts,
  type Renderer,
  structureOf,
  usageBlock,
} from "../completions/renderer.ts";
import type { Counts } from "../usage/counts.ts";
import { OutputEvents, outputOf } from "./output-items.ts";
import type { ResponseBody } from "./response-body.ts";

/** A response as it is kept, and the message of its answer. */
export interface Finished {
  response: { id: string };
  answer: ChatMessage;
}

function usageOf(counts: Counts) {
  const { prompt_tokens, completion_tokens, total_tokens, anabranch } = usageBlock(counts);
  return {
    input_tokens: prompt_tokens,
    // What is written to the cache costs nothing more, and what a model thinks is not counted apart.
    input_tokens_details: { cached_tokens: counts.cachedTokens, cache_write_tokens: 0 },
    output_tokens: completion_tokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens,
    anabranch,
  };
}

/** The response but for its output. */
function headOf({ id, model, createdAt }: AnswerHead, fields: ResponseBody) {
  return {
    ...{ id, object: "response", created_at: createdAt, model, error: null },
    access_programs: null,
    background: false,
    instructions: fields.instructions ?? null,
    max_output_tokens: fields.max_output_tokens ?? null,
    metadata: fields.metadata ?? {},
    parallel_tool_calls: fields.parallel_tool_calls ?? true,
    previous_response_id: fields.previous_response_id ?? null,
    reasoning: { effort: null, summary: null },
    store: fields.store ?? true,
    temperature: fields.temperature ?? null,
    text: { format: fields.text?.format ?? { type: "text" } },
    tool_choice: fields.tool_choice ?? "auto",
    tools: fields.tools ?? [],
    top_logprobs: fields.top_logprobs ?? 0,
    top_p: fields.top_p ?? null,
    truncation: "disabled",
  };
}

function messageOf({ content, calls }: ReadAnswer, parts: AnswerPart[]): ChatMessage {
  const tool_calls = calls.map(({ id, name, arguments: given }) => ({
    ...{ id, function: { name, arguments: given } },
  }));
  const called = tool_calls.length > 0 && { tool_calls };
  return { role: "assistant", content, ...called, anabranch: { parts } };
}

/** @param keep is given the response before its end is sent */
export const responseRenderer =
  (fields: ResponseBody, keep: (finished: Finished) => Promise<void>) =>
  (head: AnswerHead, withLogprobs: boolean): Renderer => {
    const facts = headOf(head, fields);
    const begun = {
      ...facts,
      status: "in_progress",
      incomplete_details: null,
      output: [],
      usage: null,
    };
    const shown = (logprobs: readonly TokenLogprob[]) =>
      withLogprobs ? chatLogprobs(logprobs).content : [];
    let sequence = 0;
    const numbered = <T extends object>(events: readonly T[]) =>
      events.map((event) => ({ ...event, sequence_number: sequence++ }));
    let output: object[] = [];
    let answer: ChatMessage = { role: "assistant", content: "" };
    let reason = FinishReason.STOP;
    let structure: ReturnType<typeof structureOf> | undefined;
    let response = { id: head.id };
    const settle = (facts: ChoiceFacts, ended: FinishReason) => {
      const { document } = facts;
      const whole = readAnswer(document.text, facts, `${head.id} 0`);
      reason = ended;
      output = outputOf(whole, head.id, ended, shown(document.logprobs));
      structure = structureOf(document, whole.content, () => null);
      answer = messageOf(whole, structure.parts);
    };
    const finish = (counts: Counts) => {
      const cut = reason !== FinishReason.STOP;
      const ended = {
        ...facts,
        status: cut ? "incomplete" : "completed",
        incomplete_details: cut ? { reason: "max_output_tokens" } : null,
        output,
        usage: usageOf(counts),
        ...(structure && { anabranch: structure }),
      };
      response = ended;
      return ended;
    };
    return {
      named: true,
      choice(_, form) {
        const events = new OutputEvents(head.id);
        let reader: AnswerReader | undefined;
        const marked = (given: object[], mark: object | undefined) =>
          numbered(mark ? given.map((event) => ({ ...event, anabranch: mark })) : given);
        return {
          opening: (mark) =>
            marked(
              [
                { type: "response.created", response: begun },
                { type: "response.in_progress", response: begun },
              ],
              mark,
            ),
          fragment({ text, logprobs, mark }) {
            if (mark && mark.event !== "delta") return marked(events.text("", []), mark);
            reader ??= streamReader(form, `${head.id} 0`, mark);
            const given = reader
              .push(text)
              .flatMap((bit, index) => events.add(bit, index === 0 ? shown(logprobs) : []));
            return marked(given, mark);
          },
          closing(ended, mark) {
            settle(form, ended);
            const rest = (reader?.end() ?? []).flatMap((bit) => events.add(bit, []));
            return marked([...rest, ...events.close(ended)], mark);
          },
          whole(_document, ended) {
            settle(form, ended);
            return {};
          },
        };
      },
      ending(counts) {
        const ended = finish(counts);
        return numbered([{ type: `response.${ended.status}`, response: ended }]);
      },
      whole: (_, counts) => finish(counts),
      keep: () => keep({ response, answer }),
      failure(error, streamed) {
        if (!streamed) return error.body;
        const { code, message, param } = error;
        const [event = {}] = numbered([{ type: "error", code, message, param }]);
        return event;
      },
    };
  };
