// How far an answer repeats itself.
import { unmarked } from "./item-text.ts";
import { type Block, parseBlocks, plain } from "./markdown.ts";
import { sentencesOf } from "./punkt.ts";

/** Shorter sentences and items are labels, which may repeat. */
const fewestWords = 4;

/** Two items say the same if the words that both have are at least this share of all their words. */
export const sameFrom = 0.7;

/** The words of a text in small letters, without markup and punctuation. */
const wordsOf = (text: string): string[] =>
  plain(unmarked(text))
    .toLowerCase()
    .match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];

export interface Repetition {
  /** Sentences that an earlier one says in the same words, as a share of all; null if there is none. */
  sentences: number | null;
  /** List items that say the same as an earlier one of the answer, as a share of all; null if there is none. */
  items: number | null;
}

const repeated = <T>(all: readonly T[], same: (a: T, b: T) => boolean): number | null =>
  all.length === 0
    ? null
    : all.filter((each, i) => all.slice(0, i).some((earlier) => same(earlier, each))).length /
      all.length;

/** The share of words that two items have in common (Jaccard's index of their sets of words). */
function overlap(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const both = [...a].filter((word) => b.has(word)).length;
  return both / (a.size + b.size - both);
}

/** All list items, each without the lists in it. */
const itemsOf = (blocks: readonly Block[], text: string): string[] =>
  blocks.flatMap(({ type, start, end, children }) => {
    const inner = children.find((child) => child.type === "list");
    return [
      ...(type === "item" ? [text.slice(start, inner?.start ?? end)] : []),
      ...itemsOf(children, text),
    ];
  });

export function repetitionOf(text: string): Repetition {
  const said = text
    .split("\n")
    .flatMap(sentencesOf)
    .map(wordsOf)
    .filter(({ length }) => length >= fewestWords)
    .map((words) => words.join(" "));
  const items = itemsOf(parseBlocks(text), text)
    .map(wordsOf)
    .filter(({ length }) => length >= fewestWords)
    .map((words) => new Set(words));
  return {
    sentences: repeated(said, (a, b) => a === b),
    items: repeated(items, (a, b) => overlap(a, b) >= sameFrom),
  };
}
