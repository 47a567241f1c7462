// What a request asks of its answer's form, as a grammar of the engine's.
import { createHash } from "node:crypto";
import { JsonText } from "./json-text.ts";
import { GrammarError, Network } from "./network.ts";
import { Patterns, readPattern } from "./patterns.ts";
import { readSchema } from "./schema.ts";
import { type AskedTools, readToolAnswer } from "./tool-calls.ts";

/** What an answer may say. */
export type Constraint =
  | { case: "jsonSchema"; value: string }
  | { case: "jsonObject"; value: boolean }
  | { case: "regex"; value: string }
  | { case: "choice"; value: { texts: readonly string[] } }
  | { case: "tools"; value: AskedTools };

const MAX_BYTES = 256 << 10;
const MAX_CHOICES = 10_000;
const KEPT = 64;

/** By the digest of what was asked; the latest last. */
const kept = new Map<string, Uint32Array<ArrayBuffer> | GrammarError>();

/**
 * The grammar of a constraint, in the engine's form. It depends on nothing else, so tenants share it.
 * @throws GrammarError saying what can't be held
 */
export function grammarOf(constraint: Constraint): Uint32Array<ArrayBuffer> {
  const key = createHash("sha256").update(JSON.stringify(constraint)).digest("base64");
  const found = kept.get(key) ?? build(constraint);
  kept.delete(key);
  kept.set(key, found);
  for (const [oldest] of kept) {
    if (kept.size <= KEPT) break;
    kept.delete(oldest);
  }
  if (found instanceof GrammarError) throw found;
  return found;
}

function build(constraint: Constraint): Uint32Array<ArrayBuffer> | GrammarError {
  try {
    const network = new Network();
    const start = network.node();
    network.end(read(network, start, constraint));
    return network.words(start);
  } catch (error) {
    if (error instanceof GrammarError) return error;
    throw error;
  }
}

function read(network: Network, from: number, constraint: Constraint): number {
  switch (constraint.case) {
    case "jsonObject":
      return new JsonText(network).anyObject(from);
    case "jsonSchema":
      if (Buffer.byteLength(constraint.value) > MAX_BYTES) {
        throw new GrammarError(`a schema has at most ${MAX_BYTES} bytes`);
      }
      return readSchema(network, from, JSON.parse(constraint.value));
    case "regex":
      return readPattern(network, from, new Patterns().parse(constraint.value, false), false);
    case "tools":
      return readToolAnswer(network, from, constraint.value);
    case "choice": {
      const { texts } = constraint.value;
      if (texts.length === 0 || texts.length > MAX_CHOICES || texts.includes("")) {
        throw new GrammarError(`there must be 1 to ${MAX_CHOICES} choices, none of them empty`);
      }
      return network.oneOf(from, texts);
    }
  }
}
