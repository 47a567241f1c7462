// Common words of a language model's vocabulary (`anabranch_training.word_vectors` chose them). The classifier
// has a weight for each, which is fitted on the model's vectors of them: so it has an opinion of a word that
// no labelled prompt has.
import type { Reading } from "./reading.ts";
import file from "./words.json" with { type: "json" };

const words = file.words.split(" ");
export const wordCount: number = words.length;

const indices = new Map(words.map((word, index) => [word, index]));

/** The first words of a prompt say what is asked; a pasted text behind them does not. */
const firstWords = 40;

/** Indices of the known ones of the first words, and how many these are. A word that comes twice counts twice. */
export function wordsOf({ words: all }: Reading): { known: number[]; read: number } {
  const known: number[] = [];
  let read = 0;
  for (const word of all) {
    if (!/^\p{L}/u.test(word)) continue;
    if (read === firstWords) break;
    read++;
    const index = indices.get(word);
    if (index !== undefined) known.push(index);
  }
  return { known, read };
}
