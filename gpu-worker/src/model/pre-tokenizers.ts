// The pre-tokenizers that GGUF files name, as Hugging Face's tokenizer.json spells them. Each is that of the
// model family's own tokenizer.json.
import type { Json } from "./model-files.ts";

export interface PreTokenizer {
  normalizer: Json | null;
  preTokenizer: Json;
  /** Words of the vocabulary are taken whole, without applying merges. */
  ignoreMerges: boolean;
}

/** Byte-level encoding; `split`: with GPT-2's own splitting of words. */
const byteLevel = (split: boolean): Json => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: split,
});

const splitBy = (regex: string): Json => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior: "Isolated",
  invert: false,
});

const sequence = (...pretokenizers: Json[]): Json => ({ type: "Sequence", pretokenizers });

/** Every digit by itself. */
const digits = splitBy(String.raw`\p{N}`);

/** Contractions, words, numbers of up to `digits` digits, punctuation, line ends and spaces. */
const words = (number: string) =>
  String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|${number}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

const plain = { normalizer: null, ignoreMerges: false };

const known: Record<string, PreTokenizer> = {
  default: { ...plain, preTokenizer: byteLevel(true) },
  "gpt-2": { ...plain, preTokenizer: byteLevel(true) },
  smollm: { ...plain, preTokenizer: sequence(digits, byteLevel(true)) },
  qwen2: {
    ...plain,
    normalizer: { type: "NFC" },
    preTokenizer: sequence(splitBy(words(String.raw`\p{N}`)), byteLevel(false)),
  },
  "llama-bpe": {
    normalizer: null,
    preTokenizer: sequence(splitBy(words(String.raw`\p{N}{1,3}`)), byteLevel(false)),
    ignoreMerges: true,
  },
};

/** @throws Error naming the pre-tokenizer if it is not known: ids by a wrong one would be wrong too */
export function preTokenizerOf(name: string): PreTokenizer {
  const found = Object.hasOwn(known, name) ? known[name] : undefined;
  if (found) return found;
  const names = Object.keys(known).join(", ");
  throw new Error(`tokenizer.ggml.pre is "${name}"; known are ${names}`);
}
