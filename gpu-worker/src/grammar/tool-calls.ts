// Answers that may or must call tools, in the format of the model.
import { type ToolFormatName, toolFormatOf } from "@anabranch/shared/tool-formats.ts";
import { GrammarError, type Network, type NodeId } from "./network.ts";
import { readSchema } from "./schema.ts";

export interface Tool {
  name: string;
  /** A JSON Schema of an object; absent: any object. */
  parameters?: Readonly<Record<string, unknown>>;
}

export interface AskedTools {
  format: ToolFormatName;
  tools: readonly Tool[];
  /** Whether the answer is a call in any case. */
  required: boolean;
  /** Whether there may be more than one call. */
  parallel: boolean;
}

/** Reads text, calls, or text and then calls. @throws GrammarError naming the tool that can't be held */
export function readToolAnswer(network: Network, from: NodeId, asked: AskedTools): NodeId {
  const format = toolFormatOf(asked.format);
  if (!format) throw new GrammarError(`there is no tool format "${asked.format}"`);
  const { trigger, first, middle, next, last } = format;
  const call = network.node();
  for (const [index, tool] of asked.tools.entries()) {
    const begun = network.text(call, tool.name + middle);
    network.end(network.call(begun, argumentsOf(network, tool, index)));
  }
  const to = network.node();
  const begin = network.node();
  const called = network.call(network.text(begin, first.slice(trigger.length)), call);
  network.empty(network.text(called, last), to);
  if (asked.parallel && next !== undefined) {
    const again = network.text(called, next);
    network.call(again, call, called);
  }
  if (asked.required) network.empty(network.text(from, trigger), begin);
  else if (format.onlyFirst) readTextUnless(network, from, trigger, begin, to);
  else readTextUntil(network, from, trigger, begin, to);
  return to;
}

/** The automaton of a tool's arguments. */
function argumentsOf(network: Network, { parameters = {} }: Tool, index: number): NodeId {
  const where = `[${index}].function.parameters`;
  const start = network.node();
  if (parameters.type !== undefined && parameters.type !== "object") {
    throw new GrammarError(`${where}: 'type' must be "object"`);
  }
  try {
    network.end(readSchema(network, start, { type: "object", ...parameters }));
  } catch (error) {
    if (!(error instanceof GrammarError)) throw error;
    throw new GrammarError(`${where}: ${error.message}`);
  }
  return start;
}

/** Reads bytes other than those in `except`. */
function readOthers(network: Network, from: NodeId, except: Iterable<number>, to: NodeId): void {
  let low = 0;
  for (const byte of [...except].sort((a, b) => a - b)) {
    if (low < byte) network.bytes(from, low, byte - 1, to);
    low = byte + 1;
  }
  if (low <= 0xff) network.bytes(from, low, 0xff, to);
}

/** Reads text to its end, or until `trigger` is complete. */
function readTextUntil(
  network: Network,
  from: NodeId,
  trigger: string,
  found: NodeId,
  to: NodeId,
): void {
  const bytes = [...Buffer.from(trigger)];
  const matched = bytes.map((_, length) => (length === 0 ? from : network.node()));
  /** How much of the trigger the text ends with after `length` bytes of it and another. */
  const after = (length: number, byte: number): number => {
    const read = [...bytes.slice(0, length), byte];
    for (let size = read.length; size > 0; size--) {
      if (bytes.slice(0, size).every((each, i) => each === read[read.length - size + i]))
        return size;
    }
    return 0;
  };
  for (const [length, node] of matched.entries()) {
    network.empty(node, to);
    for (const byte of new Set(bytes)) {
      network.bytes(node, byte, byte, matched[after(length, byte)] ?? found);
    }
    readOthers(network, node, new Set(bytes), from);
  }
}

/** Reads text to its end, or `trigger` if the text begins with it. */
function readTextUnless(
  network: Network,
  from: NodeId,
  trigger: string,
  found: NodeId,
  to: NodeId,
): void {
  const text = network.node();
  readOthers(network, text, [], text);
  network.empty(text, to);
  const bytes = [...Buffer.from(trigger)];
  let at = from;
  for (const [index, byte] of bytes.entries()) {
    network.empty(at, to);
    readOthers(network, at, [byte], text);
    at = network.bytes(at, byte, byte, index + 1 === bytes.length ? found : network.node());
  }
}
