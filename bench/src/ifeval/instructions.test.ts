// Each of IFEval's instructions on an answer that follows it and on answers that do not. What is expected
// is what lm-eval 0.4.13 says of the same text.

import { sentencesOf } from "@anabranch/training/pipeline/punkt.ts";
import { describe, expect, it } from "vitest";
import { capitalWords } from "./capital-words.ts";
import { checks, verdictOf } from "./instructions.ts";
import { languageOf } from "./language.ts";
import type { Parameters } from "./parameters.ts";

interface Case {
  parameters?: Parameters;
  follow: readonly string[];
  break: readonly string[];
}

const english = "the house by the river has a blue door and two windows that nobody ever opens.";

const cases: Readonly<Record<string, readonly Case[]>> = {
  "keywords:existence": [
    {
      parameters: { keywords: ["lake", "boat"] },
      follow: ["A BOAT on the Lake.", "boats of lakes"],
      break: ["A boat."],
    },
  ],
  "keywords:frequency": [
    {
      parameters: { keyword: "sea", frequency: 2, relation: "at least" },
      follow: ["Sea and seaside."],
      break: ["The sea."],
    },
    {
      parameters: { keyword: "sea", frequency: 2, relation: "less than" },
      follow: ["The sea."],
      break: ["Sea and seaside."],
    },
  ],
  "keywords:forbidden_words": [
    {
      parameters: { forbidden_words: ["can", "ride"] },
      follow: ["A candid bride."],
      break: ["You Can!", "no ride"],
    },
  ],
  "keywords:letter_frequency": [
    {
      parameters: { letter: "Q", let_frequency: 2, let_relation: "at least" },
      follow: ["Quite quick."],
      break: ["Quick."],
    },
    {
      parameters: { letter: "!", let_frequency: 1, let_relation: "at least" },
      follow: ["Sphinx of black quartz, judge my vow."],
      break: ["!"],
    },
  ],
  "language:response_language": [
    {
      parameters: { language: "de" },
      follow: ["Das Haus am Fluss hat eine blaue Tür und zwei Fenster.", "42"],
      break: [english],
    },
    {
      parameters: { language: "hi" },
      follow: ["नदी के किनारे बने घर का दरवाज़ा नीला है।"],
      break: ["Ссылка на этот дом у реки."],
    },
  ],
  "length_constraints:number_sentences": [
    {
      parameters: { num_sentences: 2, relation: "at least" },
      follow: ["One. Two.", "What?! Yes."],
      break: ["Mr. Smith spoke", "One\nTwo\nThree"],
    },
    {
      parameters: { num_sentences: 2, relation: "less than" },
      follow: ["It is 3.5 m high"],
      break: ["E.g. this one."],
    },
  ],
  "length_constraints:number_words": [
    {
      parameters: { num_words: 4, relation: "at least" },
      follow: ["well-known facts here", "don't say it"],
      break: ["one, two, three!"],
    },
    {
      parameters: { num_words: 4, relation: "less than" },
      follow: ["one two three"],
      break: ["a b c d"],
    },
  ],
  "length_constraints:number_paragraphs": [
    {
      parameters: { num_paragraphs: 2 },
      follow: ["one\n***\ntwo", "***one***two***"],
      break: ["one\n\ntwo", "one\n***\n***\ntwo"],
    },
  ],
  "length_constraints:nth_paragraph_first_word": [
    {
      parameters: { num_paragraphs: 2, nth_paragraph: 2, first_word: "Rivers" },
      follow: ["One.\n\nrivers, they flow.", 'One.\n\n\'"Rivers" flow.'],
      break: ["Rivers\n\nflow", "One.\n\nRivers-like", "One.\n\nRivers\n\nthree"],
    },
  ],
  "detectable_content:number_placeholders": [
    {
      parameters: { num_placeholders: 2 },
      follow: ["[name], [address]", "[][]"],
      break: ["[name]", "[two\nlines] [x]"],
    },
  ],
  "detectable_content:postscript": [
    {
      parameters: { postscript_marker: "P.S." },
      follow: ["Bye.\np. s. one thing"],
      break: ["Bye. PS: no", "P.P.S"],
    },
    {
      parameters: { postscript_marker: "P.P.S" },
      follow: ["P.P.S more", "p. p.s"],
      break: ["P.S. more"],
    },
  ],
  "detectable_format:number_bullet_lists": [
    {
      parameters: { num_bullets: 2 },
      follow: ["* a\n* b", "Text\n - a\n* b", "*\n- b"],
      break: ["**a**\n* b", "* a\n* b\n---"],
    },
  ],
  "detectable_format:constrained_response": [
    { follow: ["I think: My answer is no. Sorry."], break: ["My answer is No."] },
  ],
  "detectable_format:number_highlighted_sections": [
    {
      parameters: { num_highlights: 2 },
      follow: ["*a* and *b*", "**a**\n*b*"],
      break: ["*a*", "* * and **", "*a\nb*"],
    },
  ],
  "detectable_format:multiple_sections": [
    {
      parameters: { section_spliter: "SECTION", num_sections: 2 },
      follow: ["SECTION 1\na\nSECTION 2\nb", "SECTION1 SECTION2 SECTION3"],
      break: ["Section 1\nSection 2", "SECTION 1"],
    },
  ],
  "detectable_format:json_format": [
    {
      follow: ['```json\n{"a": [1, NaN]}\n```', "3", '"a, -Infinity"'],
      break: ['Here: {"a": 1}', "{'a': 1}", "```JSON\n```"],
    },
  ],
  "detectable_format:title": [
    { follow: ["<<a title>>\ntext", "so <<<x>>>"], break: ["<< >>", "<a>", "<<a\nb>>"] },
  ],
  "combination:two_responses": [
    {
      follow: ["a******b", "******a******b******"],
      break: ["a******a", "a", "a************b", "a******b******c"],
    },
  ],
  "combination:repeat_prompt": [
    {
      parameters: { prompt_to_repeat: "Write a poem. " },
      follow: ["  WRITE a poem.\nRoses"],
      break: ["Sure. Write a poem."],
    },
  ],
  "startend:end_checker": [
    {
      parameters: { end_phrase: "Is that all? " },
      follow: ['"Yes. is that ALL?"', "Is that all?\n"],
      break: ["Is that all? Yes."],
    },
  ],
  "startend:quotation": [{ follow: ['"a"', ' "a\nb" '], break: ['"', '"a', "“a”"] }],
  "punctuation:no_comma": [{ follow: ["none；、"], break: ["a, b"] }],
  "change_case:english_capital": [
    {
      follow: [english.toUpperCase()],
      break: [english, "DAS HAUS AM FLUSS IST SCHÖN ŞĞ".concat("a")],
    },
  ],
  "change_case:english_lowercase": [
    { follow: [english], break: [`A ${english}`, "das haus am fluss hat eine blaue tür", "123"] },
  ],
  "change_case:capital_word_frequency": [
    {
      parameters: { capital_frequency: 2, capital_relation: "at least" },
      follow: ["NASA and I", "I'M here", "CANNOT"],
      break: ["NASA-like words", "Nasa AND"],
    },
    {
      parameters: { capital_frequency: 2, capital_relation: "less than" },
      follow: ["WELL-KNOWN words"],
      break: ["DON'T"],
    },
  ],
};

describe("an IFEval check", () => {
  it("exists for each of the 25 instructions, and has a case here", () => {
    expect(Object.keys(checks)).toHaveLength(25);
    expect(Object.keys(cases).sort()).toEqual(Object.keys(checks).sort());
  });

  it.each(Object.entries(cases))("%s tells answers that follow from others", (id, all) => {
    for (const { parameters = {}, follow, break: broken } of all) {
      const verdict = (text: string) => verdictOf([{ id, parameters }], text).strict[0];
      expect(follow.filter((text) => !verdict(text))).toEqual([]);
      expect(broken.filter((text) => verdict(text))).toEqual([]);
    }
  });

  it("fails an empty answer, whatever the instruction", () => {
    const instruction = { id: "punctuation:no_comma", parameters: {} };
    expect(verdictOf([instruction], " \n")).toEqual({ strict: [false], loose: [false] });
  });

  it("is loose about a first line, a last line and asterisks", () => {
    const json = { id: "detectable_format:json_format", parameters: {} };
    const quoted = { id: "startend:quotation", parameters: {} };
    expect(verdictOf([json, quoted], 'Sure:\n**{"a": 1}**\nDone.')).toEqual({
      strict: [false, false],
      loose: [true, false],
    });
  });

  it("names what is wrong with an instruction", () => {
    const verdict = (id: string, parameters: Parameters) => () =>
      verdictOf([{ id, parameters }], "text");
    expect(verdict("keywords:none", {})).toThrow('no instruction "keywords:none"');
    expect(verdict("length_constraints:number_words", { relation: "at least" })).toThrow(
      '"num_words"',
    );
    expect(verdict("length_constraints:number_words", { num_words: 3 })).toThrow('"less than"');
  });
});

describe("a sentence", () => {
  it("ends at a mark, not at an abbreviation, a name's initial or a line", () => {
    expect(sentencesOf("Dr. J. Smith came.\nHe stayed until 5 p.m. and left. The end")).toEqual([
      "Dr. J. Smith came.",
      "He stayed until 5 p.m. and left.",
      "The end",
    ]);
  });

  it("takes closing quotes with it", () => {
    expect(sentencesOf('She said "Go." He went (fast!). Why')).toEqual([
      'She said "Go."',
      "He went (fast!).",
      "Why",
    ]);
  });
});

it("words in capitals are the Penn Treebank's tokens", () => {
  expect(capitalWords("I'M at NASA/ESA, U.S. time: 10AM. WELL-known A/b “OK”—YES.")).toEqual([
    ..."I 'M NASA/ESA U.S. 10AM OK YES".split(" "),
  ]);
});

it("a language is found in any script, and in none where there are no letters", () => {
  expect(languageOf("Вчера мы долго гуляли вдоль реки.")).toBe("ru");
  expect(languageOf("Jana tulitembea kando ya mto kwa muda mrefu.")).toBe("sw");
  expect(languageOf("12 + 3 = 15")).toBeNull();
});
