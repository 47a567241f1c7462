// A prompt as the classifier reads it: its words, its sentences, and which of them ask for something.
import { listsWith } from "./lexicon.ts";

export interface Sentence {
  /** In lower case, each a run of letters or digits or one sign. */
  words: string[];
  /** It ends with a question mark. */
  question: boolean;
  /** It asks for something. */
  asks: boolean;
}

export interface Reading {
  /** What was read of the prompt. */
  text: string;
  sentences: Sentence[];
  /** All words, signs included. */
  words: string[];
}

/** Of a long prompt the beginning and the end say what is asked. */
const headCharacters = 3_000;
const tailCharacters = 1_000;

function excerpt(prompt: string): string {
  if (prompt.length <= headCharacters + tailCharacters) return prompt.trim();
  return `${prompt.slice(0, headCharacters)}\n${prompt.slice(-tailCharacters)}`.trim();
}

const token = /\p{L}[\p{L}\p{M}']*|\p{N}+|\n|[^\s\p{L}\p{N}]/gu;
const ends = new Set([".", "?", "!", "\n", "。", "？", "！", ":", ";"]);

const openings = new Set(
  "what which who whom whose when where why how is are was were do does did can could should would will".split(
    " ",
  ),
);
const asking = new Set([
  "tell",
  "give",
  "plan",
  "judge",
  "write",
  "change",
  "pick",
  "solve",
  "build",
]);
const polite = new Set([
  "please",
  "kindly",
  "now",
  "also",
  "then",
  "and",
  "just",
  "hi",
  "hello",
  ",",
]);

function asks(words: readonly string[], question: boolean): boolean {
  if (question) return true;
  const first = words.find((word) => !polite.has(word)) ?? "";
  return openings.has(first) || listsWith(first).some((list) => asking.has(list));
}

export function readPrompt(prompt: string): Reading {
  const text = excerpt(prompt);
  const sentences: Sentence[] = [];
  const all: string[] = [];
  let words: string[] = [];
  const end = (question: boolean) => {
    if (words.length > 0) sentences.push({ words, question, asks: asks(words, question) });
    words = [];
  };
  for (const word of text.toLowerCase().replaceAll("’", "'").match(token) ?? []) {
    if (ends.has(word)) {
      end(word === "?" || word === "？");
      continue;
    }
    words.push(word);
    all.push(word);
  }
  end(false);
  return { text, sentences, words: all };
}
