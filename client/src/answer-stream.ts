// An answer as it grows.
import type { Change } from "@anabranch/shared/answer-document.ts";
import { LaneAnswer } from "@anabranch/shared/lane-answer.ts";
import { type Answer, answerOf } from "./answer.ts";
import type { AnswerChunk, Classification, TokenLogprob, ToolCallDelta, Usage } from "./chunk.ts";
import type { ChunkStream } from "./chunk-stream.ts";
import { AnabranchError, ConnectionError } from "./errors.ts";
import type { ToolCall } from "./request.ts";

/** What happens to an answer: a change of its text and its branches, or a piece of something beside its text. */
export type AnswerEvent =
  | Change
  | { kind: "thought"; text: string }
  | { kind: "tool_call"; call: ToolCall; arguments: string };

/**
 * Iterated over, it sends its request and gives the answer's events. Leaving the loop ends the answer, on the
 * gateway and in the engine, too. It is read once.
 */
export class AnswerStream implements AsyncIterable<AnswerEvent> {
  /** The answer so far, in document order: `text`, `parts`, `stages`, `branches`. Its branches are live objects. */
  readonly document: LaneAnswer = new LaneAnswer();
  /** Comes with the end. */
  usage: Usage | null = null;
  thoughts = "";
  readonly toolCalls: ToolCall[] = [];
  readonly #chunks: ChunkStream;
  readonly #events: AsyncGenerator<AnswerEvent, void>;
  #last: AnswerChunk | null = null;
  #classification: Classification | null = null;

  constructor(chunks: ChunkStream) {
    this.#chunks = chunks;
    this.#events = this.#run();
  }

  /** Of the response's headers; null until the first event. */
  get requestId(): string | null {
    return this.#chunks.head?.requestId ?? null;
  }

  [Symbol.asyncIterator](): AsyncIterator<AnswerEvent, void> {
    return this.#events;
  }

  /**
   * Reads what is left of the stream. Resolves to the whole answer.
   * @throws AnabranchError also if the loop over it was left before
   */
  async finalAnswer(): Promise<Answer> {
    for await (const _ of this.#events);
    const { finishReason } = this.document;
    const [last, head] = [this.#last, this.#chunks.head];
    if (!last || !head || !this.usage || finishReason === null) {
      throw new AnabranchError("The answer was left before its end.", this.requestId);
    }
    const { text, message, logprobs } = this.document;
    const facts = {
      ...{ id: last.id, model: last.model, text, parts: message.anabranch.parts },
      finishReason: finishReason as Answer["finishReason"],
      ...{ thoughts: this.thoughts, toolCalls: this.toolCalls, usage: this.usage },
      logprobs: logprobs.length > 0 ? (logprobs as TokenLogprob[]) : null,
      classification: this.#classification,
    };
    return answerOf(facts, head);
  }

  async *#run(): AsyncGenerator<AnswerEvent, void> {
    for await (const chunk of this.#chunks) yield* this.#take(chunk);
    if (this.document.finishReason === null) {
      throw new ConnectionError("The answer broke off: the gateway has ended.", this.requestId);
    }
  }

  *#take(chunk: AnswerChunk): Generator<AnswerEvent> {
    this.#last = chunk;
    this.usage = chunk.usage ?? this.usage;
    this.#classification = chunk.anabranch?.classification ?? this.#classification;
    const [choice] = chunk.choices;
    if (!choice) return;
    const { reasoning_content: thought, tool_calls: calls = [] } = choice.delta;
    if (thought) {
      this.thoughts += thought;
      yield { kind: "thought", text: thought };
    }
    for (const delta of calls) yield this.#call(delta);
    yield* this.document.push(chunk);
  }

  #call({ index, id = "", function: piece }: ToolCallDelta): AnswerEvent {
    const made = { id, type: "function" as const, function: { name: "", arguments: "" } };
    const call = this.toolCalls[index] ?? made;
    this.toolCalls[index] = call;
    call.function.name += piece?.name ?? "";
    call.function.arguments += piece?.arguments ?? "";
    return { kind: "tool_call", call, arguments: piece?.arguments ?? "" };
  }
}
