// Reads a model's tokenizer, with a fast counter of tokens.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import type { Count } from "./stage-cost.ts";

interface TokenizerFile {
  normalizer?: unknown;
  pre_tokenizer?: {
    type: string;
    pretokenizers?: { type: string; pattern?: { Regex?: string }; behavior?: string }[];
  };
}

/** Words whose token counts are cached, which bounds the memory of a long run. */
const maxCachedWords = 200_000;

export interface TextTokenizer {
  count: Count;
  /** Without start or end tokens. */
  encode(text: string): number[];
}

/** @throws Error naming the file that is missing or invalid */
export function readTokenizer(folder: string): TextTokenizer {
  const path = join(folder, "tokenizer.json");
  try {
    const file = JSON.parse(readFileSync(path, "utf8")) as TokenizerFile;
    const tokenizer = new Tokenizer(file, {});
    const encode = (text: string): number[] =>
      text === "" ? [] : [...tokenizer.encode(text, { add_special_tokens: false }).ids];
    return { encode, count: counter(words(file), encode) };
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : error}`);
  }
}

/** Counts each distinct word once: BPE merges never cross words, so counts of words add up. */
function counter(word: RegExp | undefined, encode: (text: string) => number[]): Count {
  if (word === undefined) return (text) => encode(text).length;
  const cache = new Map<string, number>();
  return (text) => {
    let tokens = 0;
    for (const each of text.match(word) ?? []) {
      let count = cache.get(each);
      if (count === undefined) {
        if (cache.size >= maxCachedWords) cache.clear();
        count = encode(each).length;
        cache.set(each, count);
      }
      tokens += count;
    }
    return tokens;
  };
}

/** The pattern that splits text into words; undefined if the tokenizer does more before merging. */
function words({ normalizer, pre_tokenizer: pre }: TokenizerFile): RegExp | undefined {
  const [split, bytes, ...more] = pre?.type === "Sequence" ? (pre.pretokenizers ?? []) : [];
  const pattern = split?.pattern?.Regex;
  const simple = split?.type === "Split" && split.behavior === "Isolated" && more.length === 0;
  if (normalizer || !simple || bytes?.type !== "ByteLevel" || !pattern) return undefined;
  try {
    return new RegExp(pattern, "gu");
  } catch {
    return undefined;
  }
}
