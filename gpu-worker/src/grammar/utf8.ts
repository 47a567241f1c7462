// Code points as the bytes of UTF-8, in JSON strings and outside of them.
import type { Network, NodeId } from "./network.ts";

export interface Range {
  min: number;
  max: number;
}

/** Below each of these, a code point has as many bytes as its index says. */
const limits = [0, 0x80, 0x800, 0x10000, 0x110000];
const surrogates: Range = { min: 0xd800, max: 0xdfff };

function without({ min, max }: Range, hole: Range): Range[] {
  return [
    { min, max: Math.min(max, hole.min - 1) },
    { min: Math.max(min, hole.max + 1), max },
  ].filter((part) => part.min <= part.max);
}

/** Reads one code point of `range` in UTF-8; surrogates are none. */
export function readRange(network: Network, from: NodeId, range: Range, to: NodeId): void {
  for (const part of without(range, surrogates)) {
    for (let length = 1; length <= 4; length++) {
      const min = Math.max(part.min, limits[length - 1] ?? 0);
      const max = Math.min(part.max, (limits[length] ?? 0) - 1);
      if (min > max) continue;
      if (length === 1) network.bytes(from, min, max, to);
      else readSequence(network, from, { min, max }, length - 1, to, leadOf(length));
    }
  }
}

const leadOf = (length: number) => (0xf00 >> length) & 0xff;

/** Reads code points that have `left` bytes after the next one, whose fixed bits are `mark`. */
function readSequence(
  network: Network,
  from: NodeId,
  { min, max }: Range,
  left: number,
  to: NodeId,
  mark: number,
): void {
  const shift = 6 * left;
  const [first, last] = [min >> shift, max >> shift];
  if (left === 0) {
    network.bytes(from, mark | first, mark | last, to);
    return;
  }
  const mask = (1 << shift) - 1;
  const [low, high] = [min & mask, max & mask];
  const rest = (begin: NodeId, part: Range) =>
    readSequence(network, begin, part, left - 1, to, 0x80);
  if (first === last) {
    rest(network.bytes(from, mark | first, mark | first), { min: low, max: high });
    return;
  }
  const wholeFrom = low === 0 ? first : first + 1;
  const wholeTo = high === mask ? last : last - 1;
  if (low > 0) rest(network.bytes(from, mark | first, mark | first), { min: low, max: mask });
  if (wholeFrom <= wholeTo) {
    rest(network.bytes(from, mark | wholeFrom, mark | wholeTo), { min: 0, max: mask });
  }
  if (high < mask) rest(network.bytes(from, mark | last, mark | last), { min: 0, max: high });
}

const control: Range = { min: 0, max: 0x1f };
const quote: Range = { min: 0x22, max: 0x22 };
const backslash: Range = { min: 0x5c, max: 0x5c };
/** What a JSON string can't hold unescaped. */
const escaped = [control, quote, backslash];

/** The ranges of characters that need no escape in JSON. */
export function plainRanges(range: Range): Range[] {
  return escaped.reduce((parts, hole) => parts.flatMap((part) => without(part, hole)), [range]);
}

/** Reads one code point of `range` within a JSON string: escaped where it must be, and only there. */
export function readInString(network: Network, from: NodeId, range: Range, to: NodeId): void {
  for (const part of plainRanges(range)) readRange(network, from, part, to);
  const escapes: string[] = [];
  for (const hole of escaped) {
    const [min, max] = [Math.max(range.min, hole.min), Math.min(range.max, hole.max)];
    for (let code = min; code <= max; code++) {
      escapes.push(JSON.stringify(String.fromCharCode(code)).slice(1, -1));
    }
  }
  if (escapes.length > 0) network.oneOf(from, escapes, to);
}
