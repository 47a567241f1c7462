// Tools of a chat, as an upstream takes them, and its calls, as the text of an answer in the format `marked`.
import {
  type ChatInput,
  type ChatMessage,
  ToolChoice,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { toolFormats } from "@anabranch/shared/tool-formats.ts";
import { Code, ConnectError } from "@connectrpc/connect";

/** How an upstream's calls stand in the text of an answer. */
export const callFormat = "marked";
const { first, middle, last } = toolFormats[callFormat];

/** Whether a chat has tools, or what came of them. */
export const meetsTools = ({ tools, messages }: ChatInput): boolean =>
  tools.length > 0 ||
  messages.some(({ role, toolCalls }) => role === "tool" || toolCalls.length > 0);

/** A message, of any role. */
export function messageFields({ role, content, name, toolCalls, toolCallId }: ChatMessage): object {
  return {
    role,
    content: content === "" && toolCalls.length > 0 ? null : content,
    ...(name !== "" && { name }),
    ...(toolCallId !== "" && { tool_call_id: toolCallId }),
    ...(toolCalls.length > 0 && {
      tool_calls: toolCalls.map(({ id, name: called, arguments: given }) => ({
        ...{ id, type: "function", function: { name: called, arguments: given } },
      })),
    }),
  };
}

function choiceOf({ toolName, toolChoice }: ChatInput): string | object {
  if (toolName !== "") return { type: "function", function: { name: toolName } };
  return toolChoice === ToolChoice.REQUIRED ? "required" : "auto";
}

/** The fields of a chat with tools. */
export function toolFields(chat: ChatInput): object {
  if (chat.tools.length === 0) return {};
  return {
    tools: chat.tools.map(({ definition }) => JSON.parse(definition) as object),
    tool_choice: choiceOf(chat),
    // A named tool is called once in any case.
    ...(chat.oneToolCall && chat.toolName === "" && { parallel_tool_calls: false }),
  };
}

/** A bit of a call in a stream's chunk. */
export interface CallDelta {
  index?: number | null;
  function?: { name?: string | null; arguments?: string | null } | null;
}

const marks = new RegExp(`[${first}${last}]`, "g");
const unmarked = (text: string) => text.replaceAll(marks, "");

/** Writes what an upstream says and calls as one text. */
export class CallWriter {
  /** The index of the call that is being written; null: none is. */
  #open: number | null = null;
  #next = 0;
  #hasArguments = false;

  /** Whether anything was called. */
  get called(): boolean {
    return this.#next > 0;
  }

  /** Of what it says. */
  text(content: string): string {
    if (content === "") return "";
    return this.end() + unmarked(content);
  }

  /** Throws ConnectError if calls are not told one after another. */
  calls(deltas: readonly CallDelta[]): string {
    return deltas.map((delta) => this.#call(delta)).join("");
  }

  /** The answer, or what it calls, has ended. */
  end(): string {
    if (this.#open === null) return "";
    this.#open = null;
    return this.#hasArguments ? last : `{}${last}`;
  }

  #call({ index, function: called }: CallDelta): string {
    const name = called?.name ?? "";
    // Without an index, a name begins the next call.
    const at = index ?? (name === "" ? (this.#open ?? this.#next) : this.#next);
    let text = "";
    if (at !== this.#open) {
      if (at < this.#next || name === "") {
        throw new ConnectError("the upstream mixes calls of tools", Code.Internal);
      }
      text = `${this.end()}${first}${unmarked(name).replaceAll('"', "")}${middle}`;
      this.#open = at;
      this.#next = at + 1;
      this.#hasArguments = false;
    }
    const given = unmarked(called?.arguments ?? "");
    this.#hasArguments ||= given !== "";
    return text + given;
  }
}
