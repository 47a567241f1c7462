// An answer as Anthropic's Messages API gives it: blocks of text, thinking and calls of tools.
import { FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { AnswerHead } from "../completions/answer.ts";
import {
  type AnswerBit,
  type AnswerReader,
  readAnswer,
  streamReader,
} from "../completions/answer-reader.ts";
import {
  type ChoiceFacts,
  type Renderer,
  structureOf,
  usageBlock,
} from "../completions/renderer.ts";
import type { Counts } from "../usage/counts.ts";
import { messageError } from "./message-error.ts";

const tokensOf = (counts: Counts) => ({
  // Those of the cache are counted apart.
  input_tokens: counts.promptTokens - counts.cachedTokens,
  output_tokens: counts.completionTokens,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: counts.cachedTokens,
});

const usageOf = (counts: Counts) => ({
  ...tokensOf(counts),
  anabranch: usageBlock(counts).anabranch,
});

const end = (reason: FinishReason, { stopString }: ChoiceFacts, calls: number) => {
  const ended = () => {
    if (reason !== FinishReason.STOP) return "max_tokens";
    if (stopString !== "") return "stop_sequence";
    return calls > 0 ? "tool_use" : "end_turn";
  };
  return { stop_reason: ended(), stop_sequence: stopString || null };
};

/** Arguments that were cut are no JSON. */
function inputOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

type Block = { type: string; [field: string]: unknown };

/** The blocks of a stream, one after another. */
class Blocks {
  #index = -1;
  #type = "";

  /** The events of a bit. */
  add(bit: AnswerBit): object[] {
    if ("content" in bit) return bit.content === "" ? [] : this.text(bit.content);
    if ("thinking" in bit) {
      const opened = this.#in({ type: "thinking", thinking: "", signature: "" });
      return [...opened, this.#delta({ type: "thinking_delta", thinking: bit.thinking })];
    }
    if ("name" in bit) {
      const { id, name } = bit;
      return this.#open({ type: "tool_use", id, name, input: {} });
    }
    return [this.#delta({ type: "input_json_delta", partial_json: bit.arguments })];
  }

  text(text: string): object[] {
    const opened = this.#in({ type: "text", text: "", citations: null });
    return [...opened, this.#delta({ type: "text_delta", text })];
  }

  close(): object[] {
    if (this.#type === "") return [];
    this.#type = "";
    return [{ type: "content_block_stop", index: this.#index }];
  }

  /** Opens the block unless one of its type is open. */
  #in(block: Block): object[] {
    return this.#type === block.type ? [] : this.#open(block);
  }

  /** A block of no text that carries the answer's structure: accumulating clients keep a block as it begins. */
  structure(anabranch: object): object[] {
    return this.#open({ type: "text", text: "", citations: null, anabranch });
  }

  #open(block: Block): object[] {
    const closed = this.close();
    this.#type = block.type;
    this.#index++;
    return [...closed, { type: "content_block_start", index: this.#index, content_block: block }];
  }

  #delta(delta: object): object {
    return { type: "content_block_delta", index: this.#index, delta };
  }
}

/** @param carried a stream's content carries the structure; else it is the text alone, to the last character */
export function messageRenderer({ id, model }: AnswerHead, carried: boolean): Renderer {
  const head = { id, type: "message", role: "assistant", model };
  let last: object = {};
  return {
    named: true,
    choice(_, facts) {
      const blocks = new Blocks();
      let reader: AnswerReader | undefined;
      const marked = (events: object[], mark: object | undefined) =>
        mark ? events.map((event) => ({ ...event, anabranch: mark })) : events;
      return {
        opening: (mark) => [
          ...marked(
            [
              {
                type: "message_start",
                message: {
                  ...{ ...head, content: [], stop_reason: null, stop_sequence: null },
                  // What clients keep of it: the end replaces these numbers, and no others.
                  usage: tokensOf(facts.counts),
                },
              },
            ],
            mark,
          ),
          { type: "ping" },
        ],
        fragment({ text, mark }) {
          if (mark && mark.event !== "delta") return marked(blocks.text(""), mark);
          reader ??= streamReader(facts, `${id} 0`, mark);
          return marked(
            reader.push(text).flatMap((bit) => blocks.add(bit)),
            mark,
          );
        },
        closing(reason, mark) {
          const rest = (reader?.end() ?? []).flatMap((bit) => blocks.add(bit));
          const { content } = readAnswer(facts.document.text, facts, `${id} 0`);
          const { parts } = structureOf(facts.document, content, () => null);
          const isCarried = carried && parts.some((part) => "parallel" in part);
          const events = [
            ...rest,
            ...(isCarried ? blocks.structure({ parts }) : []),
            ...blocks.close(),
          ];
          const delta = end(reason, facts, reader?.calls ?? 0);
          last = { type: "message_delta", delta, ...(mark && { anabranch: mark }) };
          return events;
        },
        whole(document, reason) {
          const { thinking, content, calls } = readAnswer(document.text, facts, `${id} 0`);
          return {
            content: [
              ...(thinking === "" ? [] : [{ type: "thinking", thinking, signature: "" }]),
              ...(content === "" ? [] : [{ type: "text", text: content, citations: null }]),
              ...calls.map(({ id: call, name, arguments: given }) => ({
                ...{ type: "tool_use", id: call, name, input: inputOf(given) },
              })),
            ],
            ...end(reason, facts, calls.length),
            anabranch: structureOf(document, content, () => null),
          };
        },
      };
    },
    ending: (counts) => [{ ...last, usage: usageOf(counts) }, { type: "message_stop" }],
    whole: ([choice], counts) => ({ ...head, ...choice, usage: usageOf(counts) }),
    failure: messageError,
  };
}
