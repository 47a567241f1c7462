// IFEval's group "length_constraints".

import { sentencesOf } from "@anabranch/training/pipeline/punkt.ts";
import { type Check, holds, numberOf, stringOf } from "./parameters.ts";
import { split, strip, words } from "./text.ts";

const numberSentences: Check = (text, parameters) =>
  holds(sentencesOf(text).length, parameters, "num_sentences");

const numberWords: Check = (text, parameters) => holds(words(text).length, parameters, "num_words");

/** Paragraphs with *** between them; there may be one more at both ends of the text, and none may be empty. */
const numberParagraphs: Check = (text, parameters) => {
  const paragraphs = text.split(/\s?\*\*\*\s?/).map(strip);
  if (paragraphs.slice(1, -1).includes("")) return false;
  const written = paragraphs.filter((paragraph) => paragraph !== "").length;
  // A text that is one empty paragraph never comes here.
  return written === numberOf(parameters, "num_paragraphs");
};

/** The word without quotes before it, up to the first mark, in small letters. */
const bare = (word: string): string =>
  (
    word
      .replace(/^'+/, "")
      .replace(/^"+/, "")
      .match(/^[^.,?!'"]*/)?.[0] ?? ""
  ).toLowerCase();

/** Paragraphs with an empty line between them. Empty ones do not count, but have an index. */
const nthParagraphFirstWord: Check = (text, parameters) => {
  const paragraphs = text.split("\n\n").map(strip);
  const written = paragraphs.filter((paragraph) => paragraph !== "").length;
  const nth = numberOf(parameters, "nth_paragraph");
  const first = split(paragraphs[nth - 1] ?? "")[0];
  if (nth > written || first === undefined) return false;
  return (
    written === numberOf(parameters, "num_paragraphs") &&
    bare(first) === stringOf(parameters, "first_word").toLowerCase()
  );
};

export const lengths: Readonly<Record<string, Check>> = {
  "length_constraints:number_sentences": numberSentences,
  "length_constraints:number_words": numberWords,
  "length_constraints:number_paragraphs": numberParagraphs,
  "length_constraints:nth_paragraph_first_word": nthParagraphFirstWord,
};
