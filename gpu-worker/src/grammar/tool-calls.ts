// Answers that may or must call tools, in the format of the model.
import {
  type BareCall,
  bareName,
  type ToolFormatName,
  toolFormatOf,
} from "@anabranch/shared/tool-formats.ts";
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
  const { trigger, first, middle, next, last, bare = [] } = format;
  const given = asked.tools.map((tool, index) => argumentsOf(network, tool, index));
  /** The automaton of a name and its arguments. */
  const callWith = (between: string): NodeId => {
    const call = network.node();
    for (const [index, tool] of asked.tools.entries()) {
      const begun = network.text(call, tool.name + between);
      network.end(network.call(begun, given[index] ?? begun));
    }
    return call;
  };
  const call = callWith(middle);
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
  else if (bare.length === 0) readTextUntil(network, from, trigger, begin, to);
  else {
    const text = network.node();
    const triggered = readTextUntil(network, text, trigger, begin, to);
    const leave = (node: NodeId, except: ReadonlySet<number>) => {
      const [mark = 0] = Buffer.from(trigger);
      network.empty(node, to);
      readOthers(network, node, new Set([...except, mark]), text);
      if (!except.has(mark)) network.bytes(node, mark, mark, triggered);
    };
    for (const [opened, way] of readBareHeads(network, from, bare, leave)) {
      const called = network.call(opened, callWith(way.middle));
      network.empty(network.text(called, way.last), to);
    }
  }
  return to;
}

const nameBytes = Array.from({ length: 0x80 }, (_, byte) => byte).filter((byte) =>
  bareName.test(String.fromCharCode(byte)),
);

/**
 * Reads text that begins as a bare call does, up to where it must be one: text that goes on as a call of no tool is
 * not read. @param leave goes on as other text, unless the next byte is in `except`. Returns the nodes before names
 */
function readBareHeads(
  network: Network,
  from: NodeId,
  ways: readonly BareCall[],
  leave: (node: NodeId, except: ReadonlySet<number>) => void,
): [NodeId, BareCall][] {
  const nodes = new Map<string, NodeId>([["", from]]);
  const following = new Map<string, Set<number>>([["", new Set()]]);
  for (const { open } of ways) {
    for (let size = 1; size <= open.length; size++) {
      const [before, now] = [open.slice(0, size - 1), open.slice(0, size)];
      if (nodes.has(now)) continue;
      const byte = open.charCodeAt(size - 1);
      following.get(before)?.add(byte);
      following.set(now, new Set());
      nodes.set(now, network.bytes(nodes.get(before) ?? from, byte, byte));
    }
  }
  for (const [text, node] of nodes) {
    if (!ways.some(({ open }) => open === text)) leave(node, following.get(text) ?? new Set());
  }
  return ways.map((way) => {
    const opened = nodes.get(way.open) ?? from;
    let at = network.node();
    network.empty(opened, at);
    for (const byte of nameBytes) network.bytes(at, byte, byte, at);
    const bytes = [...Buffer.from(way.middle)];
    for (const [index, byte] of bytes.entries()) {
      leave(at, new Set(index === 0 ? [...nameBytes, byte] : [byte]));
      if (index + 1 < bytes.length) at = network.bytes(at, byte, byte);
    }
    return [opened, way];
  });
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

/** Reads text to its end, or until `trigger` is complete. Returns the node after its first byte. */
function readTextUntil(
  network: Network,
  from: NodeId,
  trigger: string,
  found: NodeId,
  to: NodeId,
): NodeId {
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
  return matched[1] ?? found;
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
