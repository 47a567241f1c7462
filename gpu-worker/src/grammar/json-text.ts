// JSON as models write it: what grammars of values are made of.
import type { Network, NodeId } from "./network.ts";
import { plainRanges, readRange } from "./utf8.ts";

/** Spaces after a line break: deeper indentation is not written. */
const MAX_INDENT = 32;
const MAX_TABS = 8;
/** Of a number without bounds, before the point, after it, and of its exponent. */
const [WHOLE_DIGITS, FRACTION_DIGITS, EXPONENT_DIGITS] = [15, 15, 2];

/** Between two tokens: nothing, a space, or a line break with indentation. */
type Gap = "value" | "key";

/**
 * Reads JSON into a network. Between tokens there may be a space, and a line break with indentation where a
 * pretty-printer has one; a key and its colon stand together.
 */
export class JsonText {
  readonly network: Network;
  readonly #rules = new Map<string, NodeId>();

  constructor(network: Network) {
    this.network = network;
  }

  /** The beginning of an automaton that is built once. */
  rule(name: string, build: (from: NodeId) => NodeId): NodeId {
    const known = this.#rules.get(name);
    if (known !== undefined) return known;
    const start = this.network.node();
    this.#rules.set(name, start);
    this.network.end(build(start));
    return start;
  }

  /** What may stand before the next token. */
  gap(from: NodeId, kind: Gap): NodeId {
    const { network } = this;
    const to = network.text(from, " ");
    network.empty(from, to);
    if (kind === "key") return to;
    const lines = this.rule("line", (start) => {
      const line = network.text(start, "\n");
      const end = network.node();
      for (const [character, most] of [
        [" ", MAX_INDENT],
        ["\t", MAX_TABS],
      ] as const) {
        let at = line;
        for (let i = 0; i < most; i++) {
          network.empty(at, end);
          at = network.text(at, character);
        }
        network.empty(at, end);
      }
      return end;
    });
    return network.call(from, lines, to);
  }

  /** A key that is given, and its colon. */
  key(from: NodeId, name: string): NodeId {
    return this.colon(this.network.text(from, JSON.stringify(name)));
  }

  colon(from: NodeId): NodeId {
    return this.gap(this.network.text(from, ":"), "key");
  }

  comma(from: NodeId): NodeId {
    return this.gap(this.network.text(from, ","), "value");
  }

  /** A given value, as one text. */
  literal(value: unknown): string {
    if (Array.isArray(value)) return `[${value.map((each) => this.literal(each)).join(", ")}]`;
    if (typeof value !== "object" || value === null) return JSON.stringify(value);
    const members = Object.entries(value).map(
      ([name, each]) => `${JSON.stringify(name)}: ${this.literal(each)}`,
    );
    return `{${members.join(", ")}}`;
  }

  /** A string of `min` to `max` characters. */
  string(from: NodeId, min = 0, max = Number.POSITIVE_INFINITY): NodeId {
    const { network } = this;
    const character = this.#character();
    let at = network.text(from, '"');
    for (let i = 0; i < min; i++) at = network.call(at, character);
    if (max === Number.POSITIVE_INFINITY) {
      const loop = network.node();
      network.empty(at, loop);
      network.call(loop, character, loop);
      return network.text(loop, '"');
    }
    const end = network.node();
    for (let i = min; i < max; i++) {
      network.empty(at, end);
      at = network.call(at, character);
    }
    network.empty(at, end);
    return network.text(end, '"');
  }

  /** A number without bounds. */
  number(from: NodeId, integer: boolean): NodeId {
    const { network } = this;
    const signed = network.text(from, "-");
    network.empty(from, signed);
    const to = network.node();
    const whole = network.node();
    network.empty(network.text(signed, "0"), whole);
    this.#digits(network.bytes(signed, 0x31, 0x39), 0, WHOLE_DIGITS - 1, whole);
    network.empty(whole, to);
    if (integer) return to;
    const fraction = network.node();
    this.#digits(network.text(whole, "."), 1, FRACTION_DIGITS, fraction);
    network.empty(whole, fraction);
    network.empty(fraction, to);
    const exponent = network.oneOf(fraction, ["e", "E", "e+", "E+", "e-", "E-"]);
    this.#digits(exponent, 1, EXPONENT_DIGITS, to);
    return to;
  }

  /** Any value. */
  any(from: NodeId): NodeId {
    const rule = this.rule("any", (start) => {
      const to = this.network.oneOf(start, ["true", "false", "null"]);
      for (const end of [
        this.string(start),
        this.number(start, false),
        this.anyObject(start),
        this.anyArray(start),
      ]) {
        this.network.empty(end, to);
      }
      return to;
    });
    return this.network.call(from, rule);
  }

  anyObject(from: NodeId): NodeId {
    const rule = this.rule("object", (start) =>
      this.list(start, "{", "}", (at) => this.any(this.colon(this.string(at)))),
    );
    return this.network.call(from, rule);
  }

  anyArray(from: NodeId): NodeId {
    const rule = this.rule("array", (start) => this.list(start, "[", "]", (at) => this.any(at)));
    return this.network.call(from, rule);
  }

  /** `min` to `max` things between brackets. */
  list(
    from: NodeId,
    open: string,
    close: string,
    read: (from: NodeId) => NodeId,
    { min = 0, max = Number.POSITIVE_INFINITY } = {},
  ): NodeId {
    const { network } = this;
    const opened = network.text(from, open);
    const to = network.node();
    if (min === 0) network.empty(network.text(opened, close), to);
    if (max === 0) return to;
    const last = network.node();
    let at = read(this.gap(opened, "value"));
    for (let i = 1; i < min; i++) at = read(this.comma(at));
    if (max === Number.POSITIVE_INFINITY) {
      network.empty(at, last);
      network.empty(read(this.comma(last)), last);
    } else {
      for (let i = Math.max(1, min); i < max; i++) {
        network.empty(at, last);
        at = read(this.comma(at));
      }
      network.empty(at, last);
    }
    network.empty(network.text(this.gap(last, "value"), close), to);
    return to;
  }

  /** One character of a string: as it is, or as an escape. */
  #character(): NodeId {
    const { network } = this;
    return this.rule("character", (start) => {
      const to = network.node();
      for (const part of plainRanges({ min: 0, max: 0x10ffff })) {
        readRange(network, start, part, to);
      }
      const escaped = network.text(start, "\\");
      network.oneOf(escaped, ['"', "\\", "/", "b", "f", "n", "r", "t"], to);
      this.#hexEscape(network.text(escaped, "u"), to);
      return to;
    });
  }

  /** After "\u": a code unit that is a character, or a pair of surrogates. */
  #hexEscape(from: NodeId, to: NodeId): void {
    const { network } = this;
    const hex = (at: NodeId, digits: string, end = network.node()) =>
      network.oneOf(at, new Set([...digits.toLowerCase(), ...digits.toUpperCase()]), end);
    const any = "0123456789abcdef";
    hex(hex(hex(hex(from, "0123456789abcef"), any), any), any, to);
    const d = hex(from, "d");
    hex(hex(hex(d, "01234567"), any), any, to);
    const high = hex(hex(hex(d, "89ab"), any), any);
    hex(hex(hex(hex(network.text(high, "\\u"), "d"), "cdef"), any), any, to);
  }

  /** `min` to `max` digits. */
  #digits(from: NodeId, min: number, max: number, to: NodeId): void {
    let at = from;
    for (let i = 0; i < max; i++) {
      if (i >= min) this.network.empty(at, to);
      at = this.network.bytes(at, 0x30, 0x39);
    }
    this.network.empty(at, to);
  }
}
