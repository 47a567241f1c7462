// The likeliest pieces of a word in a Unigram vocabulary, in time linear in its length. The library's own takes
// seconds and too much stack for a word of some 100,000 characters, and writes no bytes.
import type { Json } from "./model-files.ts";

/** How much less an unknown character is worth than the least likely piece, as in SentencePiece. */
const unknownPenalty = 10;

const utf8 = new TextEncoder();

const byteToken = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;

/**
 * @param model of tokenizer.json
 * @returns the pieces of words; of unknown characters the characters themselves, or their bytes where the model has them
 */
export function unigramEncoder(model: Json): (words: string[]) => string[] {
  const vocabulary = model.vocab as [piece: string, score: number][];
  const scores = new Map(vocabulary);
  let longest = 1;
  let least = 0;
  for (const [piece, score] of vocabulary) {
    longest = Math.max(longest, piece.length);
    least = Math.min(least, score);
  }
  const unknown = least - unknownPenalty;

  /** For each place in the word where the piece begins that ends there on the likeliest way. */
  function likeliestStarts(word: string): Int32Array {
    const best = new Float64Array(word.length + 1).fill(Number.NEGATIVE_INFINITY);
    const starts = new Int32Array(word.length + 1).fill(-1);
    best[0] = 0;
    const offer = (from: number, to: number, score: number) => {
      const total = (best[from] ?? 0) + score;
      // Of equal ones the first.
      if (starts[to] !== -1 && !(total > (best[to] ?? 0))) return;
      best[to] = total;
      starts[to] = from;
    };
    for (let from = 0; from < word.length; ) {
      const next = from + String.fromCodePoint(word.codePointAt(from) ?? 0).length;
      const last = Math.min(word.length, from + longest);
      for (let to = next; to <= last; to++) {
        const score = scores.get(word.slice(from, to));
        if (score !== undefined) offer(from, to, score);
      }
      if (!scores.has(word.slice(from, next))) offer(from, next, unknown);
      from = next;
    }
    return starts;
  }

  function piecesOf(word: string): string[] {
    const starts = likeliestStarts(word);
    const pieces: string[] = [];
    for (let end = word.length; end > 0; end = starts[end] ?? 0) {
      pieces.push(word.slice(starts[end], end));
    }
    return pieces.reverse();
  }

  const hasBytes = model.byte_fallback === true;
  return (words) => {
    const out: string[] = [];
    for (const word of words) {
      for (const piece of piecesOf(word)) {
        if (hasBytes && !scores.has(piece)) {
          for (const byte of utf8.encode(piece)) out.push(byteToken(byte));
        } else {
          out.push(piece);
        }
      }
    }
    return out;
  };
}
