// The pre-tokenizers that GGUF files name, as Hugging Face's tokenizer.json spells them. Each is that of the
// model family's own tokenizer.json; which names are alike is llama.cpp's (src/llama-vocab.cpp).
import type { Json } from "./model-files.ts";

export interface PreTokenizer {
  normalizer: Json | null;
  preTokenizer: Json;
  /** Words of the vocabulary are taken whole, without applying merges. */
  ignoreMerges: boolean;
  /** Whether a text begins with the start token, if the file does not say. */
  startsWithBos: boolean;
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

const contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const spaces = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;

/** Contractions, words, numbers, punctuation, line ends and spaces. */
const words = (number: string) =>
  String.raw`${contraction}|[^\r\n\p{L}\p{N}]?\p{L}+|${number}| ?[^\s\p{L}\p{N}]+[\r\n]*|${spaces}`;

/** The same with words cut where capitals begin, and `suffix` as a part of its word. */
const casedWords = (number: string, suffix: string) => {
  const upper = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
  const lower = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
  const before = String.raw`[^\r\n\p{L}\p{N}]?`;
  return (
    `${before}${upper}*${lower}+${suffix}|${before}${upper}+${lower}*${suffix}|` +
    String.raw`${number}| ?[^\s\p{L}\p{N}]+[\r\n/]*|${spaces}`
  );
};

const oneDigit = String.raw`\p{N}`;
const threeDigits = String.raw`\p{N}{1,3}`;

const plain = { normalizer: null, ignoreMerges: false, startsWithBos: false };
const whole = { normalizer: null, ignoreMerges: true, startsWithBos: true };
const byRegex = (regex: string) => sequence(splitBy(regex), byteLevel(false));

const gpt2: PreTokenizer = { ...plain, preTokenizer: byteLevel(true) };
/** GPT-2's, with every digit by itself. */
const starcoder: PreTokenizer = { ...plain, preTokenizer: sequence(digits, byteLevel(true)) };
const llama3 = byRegex(words(threeDigits));

const known: Record<string, PreTokenizer> = {
  default: gpt2,
  "gpt-2": gpt2,
  olmo: gpt2,
  smollm: starcoder,
  starcoder,
  refact: starcoder, // Granite 3
  qwen2: {
    ...plain,
    normalizer: { type: "NFC" },
    preTokenizer: byRegex(words(oneDigit)),
  },
  "llama-bpe": { ...whole, preTokenizer: llama3 },
  "smaug-bpe": { ...plain, preTokenizer: llama3 }, // SmolLM3
  dbrx: { ...plain, preTokenizer: llama3 }, // OLMo 2
  tekken: { ...whole, preTokenizer: byRegex(casedWords(oneDigit, "")) }, // Mistral Nemo, Ministral
  "gpt-4o": { ...plain, preTokenizer: byRegex(casedWords(threeDigits, `${contraction}?`)) }, // Phi-4-mini
};

/** Every name that is known. */
export const preTokenizers: readonly string[] = Object.keys(known);

/** @throws Error naming the pre-tokenizer if it is not known: ids by a wrong one would be wrong too */
export function preTokenizerOf(name: string): PreTokenizer {
  const found = Object.hasOwn(known, name) ? known[name] : undefined;
  if (found) return found;
  throw new Error(`tokenizer.ggml.pre is "${name}"; known are ${preTokenizers.join(", ")}`);
}
