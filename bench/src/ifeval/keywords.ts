// IFEval's group "keywords".
import { type Check, holds, stringOf, stringsOf } from "./parameters.ts";
import { count, keywordPattern, strip } from "./text.ts";

const existence: Check = (text, parameters) =>
  stringsOf(parameters, "keywords").every((keyword) => keywordPattern(keyword).test(text));

const frequency: Check = (text, parameters) =>
  holds(
    count(text, keywordPattern(strip(stringOf(parameters, "keyword")))),
    parameters,
    "frequency",
  );

const forbiddenWords: Check = (text, parameters) =>
  !stringsOf(parameters, "forbidden_words").some((word) => keywordPattern(word, true).test(text));

const alphabet = [..."abcdefghijklmnopqrstuvwxyz"];

/**
 * Two of IFEval's prompts ask for a sign that is no letter. There lm-eval draws a letter and counts that; what
 * it says of most letters is what it says most often.
 */
const letterFrequency: Check = (text, parameters) => {
  const lower = text.toLowerCase();
  const enough = (letter: string) =>
    holds(lower.split(letter).length - 1, parameters, "let_frequency", "let_relation");
  const letter = strip(stringOf(parameters, "letter")).toLowerCase();
  if (alphabet.includes(letter)) return enough(letter);
  return alphabet.filter(enough).length > alphabet.length / 2;
};

export const keywords: Readonly<Record<string, Check>> = {
  "keywords:existence": existence,
  "keywords:frequency": frequency,
  "keywords:forbidden_words": forbiddenWords,
  "keywords:letter_frequency": letterFrequency,
};
