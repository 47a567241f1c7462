// A whole answer, however it came.
import type { AnswerPart } from "@anabranch/shared/parts.ts";
import type { Classification, Completion, FinishReason, TokenLogprob, Usage } from "./chunk.ts";
import type { AssistantMessage, ToolCall } from "./request.ts";
import type { Head } from "./transport.ts";

export interface Answer extends Head {
  id: string;
  model: string;
  /** Serial text and branches in document order. */
  text: string;
  /** The same with its structure. */
  parts: AnswerPart[];
  /** The text of each branch by its title; of equal titles the last. */
  branches: Map<string, string>;
  /** For the messages of the next request. */
  message: AssistantMessage;
  finishReason: FinishReason;
  /** What the model thought first, where its template marks that; not in `lanes` streams, where it is text. */
  thoughts: string;
  toolCalls: ToolCall[];
  /** If the request asked for them. */
  logprobs: TokenLogprob[] | null;
  usage: Usage;
  /** If the request asked for it. */
  classification: Classification | null;
}

/** What an answer is made of. */
export interface AnswerFacts {
  id: string;
  model: string;
  text: string;
  parts: AnswerPart[];
  finishReason: FinishReason;
  thoughts: string;
  toolCalls: ToolCall[];
  logprobs: TokenLogprob[] | null;
  usage: Usage;
  classification: Classification | null;
}

export function answerOf(facts: AnswerFacts, head: Head): Answer {
  const { text, parts, toolCalls } = facts;
  const branches = parts.flatMap((part) => ("parallel" in part ? part.parallel : []));
  return {
    ...head,
    ...facts,
    branches: new Map(branches.map(({ title, body }) => [title, body])),
    message: {
      role: "assistant",
      content: text === "" && toolCalls.length > 0 ? null : text,
      ...(toolCalls.length > 0 && { tool_calls: toolCalls }),
      anabranch: { parts },
    },
  };
}

export function answerOfCompletion(completion: Completion, head: Head): Answer {
  const { id, model, usage, choices, anabranch } = completion;
  const [choice] = choices;
  if (!choice) throw new Error("the answer has no choice");
  const { message, finish_reason: finishReason, logprobs } = choice;
  const facts = {
    ...{ id, model, usage, finishReason },
    text: message.content ?? "",
    parts: message.anabranch.parts,
    thoughts: message.reasoning_content ?? "",
    toolCalls: message.tool_calls ?? [],
    logprobs: logprobs?.content ?? null,
    classification: anabranch?.classification ?? null,
  };
  return answerOf(facts, head);
}
