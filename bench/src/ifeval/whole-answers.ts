// IFEval's groups about the whole answer: "combination", "startend", "punctuation", "language" and
// "change_case".
import { capitalWords } from "./capital-words.ts";
import { languageOf } from "./language.ts";
import { type Check, holds, stringOf } from "./parameters.ts";
import { isLower, isUpper, strip } from "./text.ts";

/** Two different responses with ****** between them, and no empty one but at the ends. */
const twoResponses: Check = (text) => {
  const responses = text.split("******").map(strip);
  if (responses.slice(1, -1).includes("")) return false;
  const [first, second, ...others] = responses.filter((response) => response !== "");
  return second !== undefined && others.length === 0 && first !== second;
};

const repeatPrompt: Check = (text, parameters) =>
  strip(text)
    .toLowerCase()
    .startsWith(strip(stringOf(parameters, "prompt_to_repeat")).toLowerCase());

const endChecker: Check = (text, parameters) =>
  strip(text)
    .replace(/^"+|"+$/g, "")
    .toLowerCase()
    .endsWith(strip(stringOf(parameters, "end_phrase")).toLowerCase());

const quotation: Check = (text) => /^"[\s\S]*"$/.test(strip(text));

const noComma: Check = (text) => !text.includes(",");

/** A text that tells no language follows. */
const isIn = (text: string, language: string): boolean =>
  [null, language].includes(languageOf(text));

const responseLanguage: Check = (text, parameters) => isIn(text, stringOf(parameters, "language"));

const englishCapital: Check = (text) => isUpper(text) && isIn(text, "en");

const englishLowercase: Check = (text) => isLower(text) && isIn(text, "en");

const capitalWordFrequency: Check = (text, parameters) =>
  holds(capitalWords(text).length, parameters, "capital_frequency", "capital_relation");

export const wholeAnswers: Readonly<Record<string, Check>> = {
  "combination:two_responses": twoResponses,
  "combination:repeat_prompt": repeatPrompt,
  "startend:end_checker": endChecker,
  "startend:quotation": quotation,
  "punctuation:no_comma": noComma,
  "language:response_language": responseLanguage,
  "change_case:english_capital": englishCapital,
  "change_case:english_lowercase": englishLowercase,
  "change_case:capital_word_frequency": capitalWordFrequency,
};
