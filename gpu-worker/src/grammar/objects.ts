// Objects: named properties in their order, then others.
import type { JsonText } from "./json-text.ts";
import { GrammarError, type NodeId } from "./network.ts";
import { type Patterns, readPattern } from "./patterns.ts";

const MAX_COUNTED = 1_000;
/** The keys that no schema names: no escapes, and short. */
const usualKeys = '[^"\\\\\\x00-\\x1f]{1,64}';

export interface ObjectShape {
  named: readonly { name: string; required: boolean; read: (at: NodeId) => NodeId }[];
  /** Other properties. */
  rest:
    | {
        /** The pattern of their keys; undefined: any. */
        keys: string | undefined;
        read: (at: NodeId) => NodeId;
      }
    | undefined;
  min: number;
  max: number;
}

export class ObjectText {
  readonly #json: JsonText;
  readonly #patterns: Patterns;

  constructor(json: JsonText, patterns: Patterns) {
    this.#json = json;
    this.#patterns = patterns;
  }

  read(from: NodeId, shape: ObjectShape): NodeId {
    const { network } = this.#json;
    const { named } = shape;
    const counted = this.#counted(shape);
    const opened = network.text(from, "{");
    const to = network.node();
    // Nothing is written yet; something is.
    let [first, more] = [network.node(), network.node()];
    network.empty(opened, first);
    for (const { name, required, read } of named) {
      const begin = network.node();
      network.empty(this.#json.gap(first, "value"), begin);
      network.empty(this.#json.comma(more), begin);
      const written = read(this.#json.key(begin, name));
      const [nextFirst, nextMore] = [network.node(), network.node()];
      network.empty(written, nextMore);
      if (!required) {
        network.empty(first, nextFirst);
        network.empty(more, nextMore);
      }
      [first, more] = [nextFirst, nextMore];
    }
    const last = network.node();
    if (shape.rest) this.#rest(first, more, last, shape, counted);
    else network.empty(more, last);
    if (counted.min === 0) network.empty(network.text(first, "}"), to);
    network.empty(network.text(this.#json.gap(last, "value"), "}"), to);
    return to;
  }

  /** How many other properties there are; where they would have to be counted with named ones, an error. */
  #counted({ named, rest, min, max }: ObjectShape): { min: number; max: number } {
    const required = named.filter((each) => each.required).length;
    if (named.length > 0) {
      if (min > required)
        throw new GrammarError("'minProperties' above the required ones is not supported");
      const unbounded = rest !== undefined && max < Number.POSITIVE_INFINITY;
      if (named.length > max || unbounded) {
        throw new GrammarError("'maxProperties' below what may be written is not supported");
      }
      return { min: 0, max };
    }
    // Two entries may have the same key.
    if (min > 1) throw new GrammarError("'minProperties' above 1 is not supported");
    if (max < Number.POSITIVE_INFINITY && max > MAX_COUNTED) {
      throw new GrammarError(`'maxProperties' above ${MAX_COUNTED} is not supported`);
    }
    return { min: rest ? min : 0, max };
  }

  #rest(
    first: NodeId,
    more: NodeId,
    last: NodeId,
    { named, rest }: ObjectShape,
    { min, max }: { min: number; max: number },
  ): void {
    if (!rest) return;
    const { network } = this.#json;
    const names = named.map(({ name }) => name);
    const found =
      rest.keys === undefined
        ? this.#patterns.format(usualKeys)
        : this.#patterns.parse(rest.keys, true);
    const keys = names.length > 0 ? this.#patterns.except(found, names) : found;
    const entry = network.node();
    const quoted = readPattern(network, network.text(entry, '"'), keys, true);
    network.end(rest.read(this.#json.colon(network.text(quoted, '"'))));
    const begin = network.node();
    if (min > 0 || max > 0) network.empty(this.#json.gap(first, "value"), begin);
    network.empty(this.#json.comma(more), begin);
    network.empty(more, last);
    if (max === 0) return;
    let at = network.call(begin, entry);
    if (max === Number.POSITIVE_INFINITY) {
      network.empty(at, last);
      network.call(this.#json.comma(last), entry, last);
      return;
    }
    for (let i = 1; i < max; i++) {
      network.empty(at, last);
      at = network.call(this.#json.comma(at), entry);
    }
    network.empty(at, last);
  }
}
