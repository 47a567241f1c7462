// The output of a response: an item for what the model thinks, one for what it says, and one for each call.
import { FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { AnswerBit, ReadAnswer, ReadCall } from "../completions/answer-reader.ts";
import type { chatLogprobs } from "../completions/logprobs.ts";

type ShownLogprob = ReturnType<typeof chatLogprobs>["content"][number];

/** Names of items follow from the response's. */
const idOf = (kind: string, response: string) => `${kind}_${response.slice("resp_".length)}`;

const thinkingItem = (response: string, text: string) => ({
  ...{ id: idOf("rs", response), type: "reasoning", summary: [] },
  content: text === "" ? [] : [{ type: "reasoning_text", text }],
});

/** Events of texts have no `bytes`; the item that follows them has. */
const withoutBytes = (logprobs: readonly ShownLogprob[]) =>
  logprobs.map(({ token, logprob, top_logprobs: top }) => ({
    ...{ token, logprob },
    top_logprobs: top.map((each) => ({ token: each.token, logprob: each.logprob })),
  }));

const textPart = (text: string, logprobs: readonly ShownLogprob[]) => ({
  ...{ type: "output_text", text, annotations: [], logprobs },
});

const textItem = (response: string, status: string, content: readonly object[]) => ({
  ...{ id: idOf("msg", response), type: "message", role: "assistant", status, content },
});

const callItem = ({ id, name, arguments: given }: ReadCall, status: string) => ({
  ...{ id: `fc_${id}`, type: "function_call", call_id: id, name, arguments: given, status },
});

const statusOf = (reason: FinishReason) =>
  reason === FinishReason.STOP ? "completed" : "incomplete";

/** Of a whole answer. */
export function outputOf(
  { thinking, content, calls }: ReadAnswer,
  response: string,
  reason: FinishReason,
  logprobs: readonly ShownLogprob[],
): object[] {
  const said = content !== "" || calls.length === 0;
  return [
    ...(thinking === "" ? [] : [thinkingItem(response, thinking)]),
    ...(said ? [textItem(response, statusOf(reason), [textPart(content, logprobs)])] : []),
    // The last one may be cut.
    ...calls.map((call, index) =>
      callItem(call, index === calls.length - 1 ? statusOf(reason) : "completed"),
    ),
  ];
}

/** Of a stream: one item after another, each with its events. */
export class OutputEvents {
  readonly #response: string;
  /** Items that are done. */
  #items = 0;
  /** What was said so far. */
  readonly #read: ReadAnswer = { thinking: "", content: "", calls: [] };
  readonly #logprobs: ShownLogprob[] = [];
  #open: "thinking" | "text" | "call" | null = null;

  constructor(response: string) {
    this.#response = response;
  }

  add(bit: AnswerBit, logprobs: readonly ShownLogprob[]): object[] {
    if ("content" in bit) {
      this.#logprobs.push(...logprobs);
      return bit.content === "" ? [] : this.text(bit.content, logprobs);
    }
    if ("thinking" in bit) return this.#think(bit.thinking);
    if ("name" in bit) {
      const { id, name } = bit;
      const closed = this.#close("completed");
      this.#open = "call";
      const call = { id, name, arguments: "" };
      this.#read.calls.push(call);
      return [...closed, this.#added(callItem(call, "in_progress"))];
    }
    const call = this.#read.calls.at(-1);
    if (!call) return [];
    call.arguments += bit.arguments;
    return [
      {
        ...{ type: "response.function_call_arguments.delta", ...this.#place(`fc_${call.id}`) },
        delta: bit.arguments,
      },
    ];
  }

  text(text: string, logprobs: readonly ShownLogprob[]): object[] {
    const out: object[] = [];
    if (this.#open !== "text") {
      out.push(...this.#close("completed"));
      this.#open = "text";
      out.push(this.#added(textItem(this.#response, "in_progress", [])), {
        ...{ type: "response.content_part.added", ...this.#part("msg") },
        part: textPart("", []),
      });
    }
    this.#read.content += text;
    const delta = { type: "response.output_text.delta", ...this.#part("msg"), delta: text };
    return [...out, { ...delta, logprobs: withoutBytes(logprobs) }];
  }

  /** The answer has ended. One that says nothing has an empty text. */
  close(reason: FinishReason): object[] {
    const empty =
      this.#read.content === "" && this.#read.calls.length === 0 && this.#open !== "text";
    const said = empty ? this.text("", []) : [];
    return [...said, ...this.#close(statusOf(reason))];
  }

  #think(text: string): object[] {
    const opened: object[] = [];
    if (this.#open !== "thinking") {
      opened.push(...this.#close("completed"));
      this.#open = "thinking";
      opened.push(this.#added(thinkingItem(this.#response, "")));
    }
    this.#read.thinking += text;
    const delta = { type: "response.reasoning_text.delta", ...this.#part("rs"), delta: text };
    return [...opened, delta];
  }

  #close(status: string): object[] {
    const open = this.#open;
    this.#open = null;
    const { thinking, content } = this.#read;
    const call = this.#read.calls.at(-1);
    if (open === "thinking") {
      const done = { type: "response.reasoning_text.done", ...this.#part("rs"), text: thinking };
      return [done, this.#done(thinkingItem(this.#response, thinking))];
    }
    if (open === "text") {
      const logprobs = [...this.#logprobs];
      const part = textPart(content, logprobs);
      return [
        {
          ...{ type: "response.output_text.done", ...this.#part("msg"), text: content },
          logprobs: withoutBytes(logprobs),
        },
        { type: "response.content_part.done", ...this.#part("msg"), part },
        this.#done(textItem(this.#response, status, [part])),
      ];
    }
    if (open !== "call" || !call) return [];
    const done = { type: "response.function_call_arguments.done", ...this.#place(`fc_${call.id}`) };
    return [{ ...done, arguments: call.arguments }, this.#done(callItem(call, status))];
  }

  #place(item: string) {
    return { item_id: item, output_index: this.#items };
  }

  #part(kind: string) {
    return { ...this.#place(idOf(kind, this.#response)), content_index: 0 };
  }

  #added(item: object): object {
    return { type: "response.output_item.added", output_index: this.#items, item };
  }

  #done(item: object): object {
    return { type: "response.output_item.done", output_index: this.#items++, item };
  }
}
