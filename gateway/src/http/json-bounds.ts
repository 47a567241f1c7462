// Bounds of a JSON text, checked on its bytes before it is parsed: parsing and validating a small text can take
// very long and much memory, which everybody else's requests would wait for.
import { ApiError } from "../api-error.ts";

export const jsonBounds = {
  /** Arrays and objects inside each other. */
  depth: 64,
  /** Arrays and objects in all. */
  containers: 100_000,
  /** Members of one object. */
  members: 10_000,
  /** Values in all. Token ids are the values that a request has many of. */
  values: 1_500_000,
};

const quote = 0x22;
const comma = 0x2c;
const openArray = 0x5b;
const backslash = 0x5c;
const closeArray = 0x5d;
const openObject = 0x7b;
const closeObject = 0x7d;

const refuse = (what: string, limit: number) =>
  new ApiError(400, `The JSON body has ${what}; at most ${limit} are allowed.`, {
    code: "json_too_complex",
  });

/** The index of the quote that ends the string whose first byte is at `at`. */
function endOfString(bytes: Uint8Array, at: number): number {
  let end = bytes.indexOf(quote, at);
  while (end >= 0) {
    let slashes = 0;
    while (bytes[end - 1 - slashes] === backslash) slashes++;
    if (slashes % 2 === 0) return end;
    end = bytes.indexOf(quote, end + 1);
  }
  return bytes.length;
}

/**
 * Throws a 400 ApiError if the text exceeds a bound. What is no JSON is left to the parser, which stops at its
 * first fault.
 */
export function checkBounds(bytes: Uint8Array, bounds = jsonBounds): void {
  /** By depth: the commas of an open object, or -1 for an array. */
  const open = new Int32Array(bounds.depth + 1);
  let depth = 0;
  let containers = 0;
  let values = 1;
  for (let at = 0; at < bytes.length; at++) {
    switch (bytes[at]) {
      case quote:
        at = endOfString(bytes, at + 1);
        break;
      case comma: {
        if (++values > bounds.values) throw refuse("too many values", bounds.values);
        const commas = open[depth] ?? -1;
        if (commas < 0) break;
        if (commas + 2 > bounds.members)
          throw refuse("too many fields in one object", bounds.members);
        open[depth] = commas + 1;
        break;
      }
      case openArray:
      case openObject:
        if (++depth > bounds.depth) throw refuse("too many nested levels", bounds.depth);
        if (++containers > bounds.containers) {
          throw refuse("too many arrays and objects", bounds.containers);
        }
        values++;
        open[depth] = bytes[at] === openObject ? 0 : -1;
        break;
      case closeArray:
      case closeObject:
        if (depth > 0) depth--;
        break;
    }
  }
}
