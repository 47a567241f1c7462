// How the checks read a text. The reference implementation is in Python, whose idea of white space, words
// and case differs from JavaScript's regular expressions; this file follows Python's.

/** Characters that Python's `str.strip` and `str.split` take for white space. */
const space =
  "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const outerSpace = new RegExp(`^[${space}]+|[${space}]+$`, "g");
const innerSpace = new RegExp(`[${space}]+`);
const cased = /\p{Lowercase}|\p{Uppercase}|\p{Lt}/u;

/** The text without white space at its ends. */
export const strip = (text: string): string => text.replace(outerSpace, "");

/** The runs of characters that are not white space. */
export const split = (text: string): string[] =>
  strip(text)
    .split(innerSpace)
    .filter((part) => part !== "");

/** Whether there are letters with case, and all of them are capitals. */
export const isUpper = (text: string): boolean =>
  cased.test(text) && !/\p{Lowercase}|\p{Lt}/u.test(text);

/** Whether there are letters with case, and none of them is a capital. */
export const isLower = (text: string): boolean =>
  cased.test(text) && !/\p{Uppercase}|\p{Lt}/u.test(text);

/** Runs of letters, digits and underscores. Combining marks end a word, as they do in Python. */
export const words = (text: string): string[] => text.match(/[\p{L}\p{N}_]+/gu) ?? [];

/** How often a pattern matches without overlap. */
export const count = (text: string, pattern: RegExp): number => [...text.matchAll(pattern)].length;

/**
 * A keyword of an instruction as a pattern that ignores case. The reference reads keywords as regular
 * expressions; one that is none is searched for as it is.
 */
export function keywordPattern(keyword: string, whole = false): RegExp {
  const word = "[\\p{L}\\p{N}_]";
  const edge = `(?:(?<!${word})(?=${word})|(?<=${word})(?!${word}))`;
  const build = (source: string) => new RegExp(whole ? `${edge}${source}${edge}` : source, "giu");
  try {
    return build(keyword);
  } catch {
    return build(keyword.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  }
}
