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

const letterFrequency: Check = (text, parameters) => {
  const letter = strip(stringOf(parameters, "letter")).toLowerCase();
  const found = text.toLowerCase().split(letter).length - 1;
  return holds(found, parameters, "let_frequency", "let_relation");
};

export const keywords: Readonly<Record<string, Check>> = {
  "keywords:existence": existence,
  "keywords:frequency": frequency,
  "keywords:forbidden_words": forbiddenWords,
  "keywords:letter_frequency": letterFrequency,
};
