// The tokenizer of a tokenizer.json. Where the library cuts a text otherwise than Hugging Face's tokenizers do, it is
// mended here.
import { type AddedToken, Tokenizer } from "@huggingface/tokenizers";
import type { Json } from "./model-files.ts";
import { unigramEncoder } from "./unigram.ts";

interface Splitter {
  split(text: string): string[];
}

/** Of the library's class, and private to it. */
interface Inside {
  splitter_unnormalized: Splitter;
  splitter_normalized: Splitter;
  added_tokens_map: ReadonlyMap<string, AddedToken>;
}

/** @throws Error saying what is wrong */
export function openTokenizer(json: Json, config: Json): Tokenizer {
  const tokenizer = new Tokenizer(
    { ...json, pre_tokenizer: withWordsSplit(json.pre_tokenizer) },
    config,
  );
  const { model } = tokenizer;
  if (model && (json.model as Json | undefined)?.type === "Unigram") {
    model.encode = unigramEncoder(json.model as Json);
  }
  const inside = tokenizer as unknown as Inside;
  const added = inside.added_tokens_map;
  if ([...added.values()].some((token) => token.single_word)) {
    inside.splitter_unnormalized = wholeWords(inside.splitter_unnormalized, added);
    inside.splitter_normalized = wholeWords(inside.splitter_normalized, added);
  }
  return tokenizer;
}

/** A Metaspace cuts before each of its spaces unless it says otherwise; the library's never does. */
function withWordsSplit(given: unknown): unknown {
  if (typeof given !== "object" || given === null) return given;
  const { type, pretokenizers, replacement = "\u2581", split = true } = given as Json;
  if (type === "Sequence" && Array.isArray(pretokenizers)) {
    return { ...given, pretokenizers: pretokenizers.map(withWordsSplit) };
  }
  if (type !== "Metaspace" || split !== true) return given;
  const space = `\\u{${String(replacement).codePointAt(0)?.toString(16)}}`;
  const words = {
    ...{ type: "Split", behavior: "Isolated", invert: false },
    pattern: { Regex: `${space}[^${space}]*|[^${space}]+` },
  };
  return { type: "Sequence", pretokenizers: [given, words] };
}

/** As the \w of Rust's regular expressions. */
const word = String.raw`[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d]`;
const wordAtEnd = new RegExp(`${word}$`, "u");
const wordAtStart = new RegExp(`^${word}`, "u");

/** Joins an added token that stands for a single word, and is a part of one, with the text around it. */
function wholeWords(splitter: Splitter, added: ReadonlyMap<string, AddedToken>): Splitter {
  return {
    split(text) {
      const out: string[] = [];
      const isToken: boolean[] = [];
      let at = 0;
      for (const section of splitter.split(text)) {
        const token = added.get(section);
        const inWord =
          wordAtEnd.test(text.slice(Math.max(0, at - 2), at)) ||
          wordAtStart.test(text.slice(at + section.length, at + section.length + 2));
        const stands = token !== undefined && !(token.single_word && inWord);
        if (stands || out.length === 0 || isToken.at(-1)) {
          out.push(section);
          isToken.push(stands);
        } else {
          out[out.length - 1] += section;
        }
        at += section.length;
      }
      return out;
    },
  };
}
