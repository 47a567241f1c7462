// Words in capitals, with words as the Penn Treebank's tokenizer (of NLTK) cuts them: signs stand alone,
// "DON'T" is "DO" and "N'T", a hyphenated word is one.
import { sentencesOf } from "@anabranch/training/pipeline/punkt.ts";
import { isUpper } from "./text.ts";

/** Signs that are tokens of their own, or part of none that has letters. */
const signs = /["`«»“”‘’„;@#$%&?!*()[\]{}<>\u2012-\u2015]|''|\.{2,}|--|[:,](?!\p{Nd})/gu;
/** Behind the last period of a sentence there may be quotes and brackets. */
const lastPeriod = /(?<=[^.])\.(?=['\s]*$)/u;
const clitics = /(?<=[^' ])('[sSmMdD]|'(?:ll|LL|re|RE|ve|VE)|n't|N'T)(?= )/g;
const contractions = [
  /\b(can)(not)\b/giu,
  /\b(d)('ye)\b/giu,
  /\b(gim)(me)\b/giu,
  /\b(gon)(na)\b/giu,
  /\b(got)(ta)\b/giu,
  /\b(lem)(me)\b/giu,
  /\b(more)('n)\b/giu,
  /\b(wan)(na)(?=\s)/giu,
];

/** The tokens that have letters with case, all of them capitals. */
export function capitalWords(text: string): string[] {
  return sentencesOf(text).flatMap((sentence) => {
    const spaced = ` ${sentence.replace(signs, " ").replace(lastPeriod, " ")} `
      .replace(/\s+/gu, " ")
      .replace(/(?<=[^' ])'(?= )/g, " ")
      .replace(clitics, " $1");
    const tokens = contractions.reduce((rest, each) => rest.replace(each, "$1 $2"), spaced);
    return tokens.split(" ").filter(isUpper);
  });
}
