// The shape of a prompt's requests: short runs of words in which every word but those of closed lists is
// replaced by its form. What a prompt is about can't be memorised from them.
import { hash } from "../hash.ts";
import { functionWords, listsWith } from "./lexicon.ts";
import type { Reading } from "./reading.ts";

export const shapeBuckets = 4_096;

const requests = 4;
const wordsOfRequest = 24;

const topical = new Set(["fiction", "program", "mathematics", "life", "society"]);

function shapeOf(word: string): string {
  const lists = listsWith(word);
  if (functionWords.has(word) || lists.some((list) => !topical.has(list))) return word;
  const [list] = lists;
  if (list !== undefined) return `<${list}>`;
  if (/^\p{N}/u.test(word)) return "<number>";
  if (!/^\p{L}/u.test(word)) return word;
  if (!/^[a-z']+$/.test(word)) return "<foreign>";
  if (/ing$/.test(word)) return "<ing>";
  if (/(?:tion|ness|ity|ment|ism)s?$/.test(word)) return "<abstract>";
  return /[^sui]s$/.test(word) ? "<plural>" : "<word>";
}

/** Buckets of the shapes, each once. */
export function shapesOf({ sentences }: Reading): number[] {
  const seen = new Set<number>();
  const asking = sentences.filter(({ asks }) => asks);
  const first = sentences[0];
  const chosen = asking.length > 0 ? [...asking.slice(0, requests), asking.at(-1)] : [first];
  if (first && !first.asks) chosen.unshift(first);
  for (const sentence of new Set(chosen)) {
    if (!sentence) continue;
    const shape = sentence.words.slice(0, wordsOfRequest).map(shapeOf);
    const all = ["^", ...shape, sentence.question ? "?" : "."];
    for (let at = 0; at < all.length; at++) {
      const [a = "", b = "", c = ""] = all.slice(at, at + 3);
      seen.add(hash(a) % shapeBuckets);
      if (at + 1 < all.length) seen.add(hash(`${a} ${b}`) % shapeBuckets);
      if (at + 2 < all.length) seen.add(hash(`${a} ${b} ${c}`) % shapeBuckets);
    }
  }
  return [...seen];
}
