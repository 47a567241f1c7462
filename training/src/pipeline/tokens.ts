// A model's tokenizer as a counter of tokens.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import type { Count } from "./steps.ts";

interface TokenizerFile {
  normalizer?: unknown;
  pre_tokenizer?: {
    type: string;
    pretokenizers?: { type: string; pattern?: { Regex?: string }; behavior?: string }[];
  };
}

/** More words than this are rare ones; the memory of a long run stays bounded. */
const rememberedWords = 200_000;

export interface TextTokenizer {
  count: Count;
  /** Without start or end tokens. */
  encode(text: string): number[];
}

/** @throws Error naming the file that is missing or wrong */
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

/** Merges never cross a word, so a text's tokens are its words' tokens: counted once a word. */
function counter(word: RegExp | undefined, encode: (text: string) => number[]): Count {
  if (word === undefined) return (text) => encode(text).length;
  const known = new Map<string, number>();
  return (text) => {
    let tokens = 0;
    for (const piece of text.match(word) ?? []) {
      let own = known.get(piece);
      if (own === undefined) {
        if (known.size >= rememberedWords) known.clear();
        own = encode(piece).length;
        known.set(piece, own);
      }
      tokens += own;
    }
    return tokens;
  };
}

/** The pattern that cuts text into words, where that is all the tokenizer does before merging. */
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
