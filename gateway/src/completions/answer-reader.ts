// An answer's text, read as what the model thinks, says and calls.
import { Thinking } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import type { ToolFormat } from "@anabranch/shared/tool-formats.ts";
import { ThinkingReader } from "./thinking-reader.ts";
import { type ToolBit, ToolCallReader } from "./tool-call-reader.ts";

/** One bit of an answer. */
export type AnswerBit = ToolBit | { thinking: string };

/** How an answer is written. */
export interface AnswerForm {
  readonly toolFormat: ToolFormat | undefined;
  readonly thinking: Thinking;
}

export class AnswerReader {
  readonly #thinking: ThinkingReader | undefined;
  readonly #tools: ToolCallReader | undefined;

  /** @param answer names the answer: equal names give equal ids of calls */
  constructor({ toolFormat, thinking }: AnswerForm, answer: string) {
    this.#thinking = thinking === Thinking.UNSPECIFIED ? undefined : new ThinkingReader(thinking);
    // A bare call begins the whole answer, which thoughts do here.
    const { bare: _, ...tagged } = toolFormat ?? {};
    const format = this.#thinking && toolFormat ? (tagged as ToolFormat) : toolFormat;
    this.#tools = format && new ToolCallReader(format, answer);
  }

  /** Calls of tools so far. */
  get calls(): number {
    return this.#tools?.calls ?? 0;
  }

  push(text: string): AnswerBit[] {
    return this.#said(this.#thinking?.push(text) ?? [{ content: text }]);
  }

  /** The answer has ended: what was held back. */
  end(): AnswerBit[] {
    return [...this.#said(this.#thinking?.end() ?? []), ...(this.#tools?.end() ?? [])];
  }

  #said(bits: readonly ({ content: string } | { thinking: string })[]): AnswerBit[] {
    return bits.flatMap((bit): AnswerBit[] =>
      "content" in bit && this.#tools ? this.#tools.push(bit.content) : [bit],
    );
  }
}

/**
 * The reader of a stream's text. A `lanes` stream, whose fragments have marks, has the text of several lanes side
 * by side: what the model thinks stays in it.
 */
export const streamReader = (
  { toolFormat, thinking }: AnswerForm,
  answer: string,
  mark: object | undefined,
): AnswerReader =>
  new AnswerReader({ toolFormat, thinking: mark ? Thinking.UNSPECIFIED : thinking }, answer);

export interface ReadCall {
  id: string;
  name: string;
  /** JSON, without its end if the answer was cut. */
  arguments: string;
}

/** A whole answer. */
export interface ReadAnswer {
  thinking: string;
  content: string;
  calls: ReadCall[];
}

export function readAnswer(text: string, form: AnswerForm, answer: string): ReadAnswer {
  const reader = new AnswerReader(form, answer);
  const read: ReadAnswer = { thinking: "", content: "", calls: [] };
  for (const bit of [...reader.push(text), ...reader.end()]) {
    if ("content" in bit) read.content += bit.content;
    else if ("thinking" in bit) read.thinking += bit.thinking;
    else if ("name" in bit) read.calls.push({ id: bit.id, name: bit.name, arguments: "" });
    else {
      const call = read.calls[bit.call];
      if (call) call.arguments += bit.arguments;
    }
  }
  return read;
}
