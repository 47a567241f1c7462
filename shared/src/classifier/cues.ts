// What can be said of a prompt in a word: each cue is a number from 0 to 1.
import { functionWords, listsWith, type WordList, wordLists } from "./lexicon.ts";
import type { Reading, Sentence } from "./reading.ts";

const scale = (value: number, whole: number) => Math.min(1, value / whole);
const yes = (value: boolean) => (value ? 1 : 0);
const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;

/** A plural by its form. */
const isPlural = (word: string) => word.length > 3 && /[^sui'][s]$/.test(word);
function isWord(word: string): boolean {
  const code = word.charCodeAt(0);
  return (code >= 97 && code <= 122) || (code >= 128 && /^\p{L}/u.test(word));
}

const numberWords = new Set(
  "two three four five six seven eight nine ten several some few many".split(" "),
);
const isNumber = (word: string) => /^\p{N}/u.test(word) || numberWords.has(word);

/** Whether a word for several things follows within a few words. */
function pluralFollows(words: readonly string[], at: number): boolean {
  for (const word of words.slice(at + 1, at + 6)) {
    if (listsWith(word).includes("points") || isPlural(word)) return true;
  }
  return false;
}

const starts = (sentence: Sentence | undefined, pattern: RegExp) =>
  yes(sentence !== undefined && pattern.test(sentence.words.slice(0, 6).join(" ")));

function ofLength({ words, text, sentences }: Reading) {
  const letters = words.filter(isWord).length;
  const lines = count(text, /\n/g) + 1;
  return {
    length: scale(Math.log1p(letters), 7),
    "at most 6 words": yes(letters <= 6),
    "at most 12 words": yes(letters <= 12),
    "at most 25 words": yes(letters <= 25),
    "over 60 words": yes(letters > 60),
    "over 150 words": yes(letters > 150),
    "over 400 words": yes(letters > 400),
    lines: scale(Math.log(lines), 4),
    "one sentence": yes(sentences.length <= 1),
    "a passage": yes(/\n[ \t]*\n/.test(text)),
    "list items": scale(count(text, /^[ \t]{0,8}(?:[-*•]|\d{1,3}[.)])[ \t]/gm), 5),
    "a heading with a colon": scale(count(text, /^[^\n:]{1,30}:[ \t]/gm), 4),
    "an input after the request": yes(/[:.?]\s*\n[\s\S]/.test(text.slice(0, 600))),
  };
}

const signs = new Set("{}()[]<>=+*/\\|^_;$#@~");

/** How many code units are Latin letters, other letters, digits and signs of programs. */
function kindsOf(text: string) {
  const kinds = { latin: 0, other: 0, digits: 0, signs: 0 };
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if ((code >= 97 && code <= 122) || (code >= 65 && code <= 90)) kinds.latin++;
    else if (code >= 48 && code <= 57) kinds.digits++;
    else if (code >= 128) kinds.other += yes(/\p{L}/u.test(text[i] ?? ""));
    else if (signs.has(text[i] ?? "")) kinds.signs++;
  }
  return kinds;
}

function ofSigns({ text, words }: Reading) {
  const characters = Math.max(1, text.length);
  const kinds = kindsOf(text);
  const letters = kinds.latin + kinds.other;
  const known = words.filter((word) => functionWords.has(word)).length;
  const spoken = Math.max(1, words.filter(isWord).length);
  return {
    "code fence": yes(text.includes("```")),
    code: yes(/[{};]\s*$|=>|\(\)|<\/?\w{1,12}>|\$\(|::|\b\w+\.\w+\(|\w_\w/m.test(text)),
    signs: scale(kinds.signs / characters, 0.08),
    digits: scale(kinds.digits / characters, 0.1),
    arithmetic: scale(count(text, /\d\s?[-+*/×÷=^]\s?[\d(a-z]/g), 2),
    "mathematics in LaTeX": yes(/\$[^$\n]{1,80}\$|\\[a-z]{2,12}[{\s]/.test(text)),
    quotation: yes(/["“][^"”\n]{12,400}["”]/.test(text)),
    "a link": yes(/https?:\/\//.test(text)),
    "another script": letters === 0 ? 0 : kinds.other / letters,
    "few English words": yes(known / spoken < 0.2 && spoken > 3),
    "share of function words": known / spoken,
    "proper names": scale(count(text, /[a-z,] [A-Z][a-z]/g) / spoken, 0.15),
    "names of programs": scale(
      count(text, /\b[a-z]+[A-Z]\w*|\b[A-Z][a-z]+[A-Z]\w*|\b[A-Z]{3,6}\b/g),
      3,
    ),
  };
}

function ofQuestions({ sentences }: Reading) {
  const questions = sentences.filter(({ question }) => question).length;
  const asks = sentences.filter((each) => each.asks);
  const first = sentences[0];
  const ask = asks.at(-1) ?? first;
  return {
    "no question mark": yes(questions === 0),
    "two questions": yes(questions === 2),
    "several questions": yes(questions > 2),
    "several requests": scale(Math.max(0, asks.length - 1), 4),
    "begins with a statement": yes(first !== undefined && !first.asks),
    "how to": starts(
      ask,
      /^how (?:to|do i|do you|can i|can you|should i|do we|can we|can one|would i)\b/,
    ),
    "how does": starts(ask, /^how (?:does|do|did|is|are|was|has|have)\b/),
    "how much": starts(ask, /^(?:\w+ )?how (?:many|much|long|far|old|often|big|fast|tall|large)\b/),
    why: starts(ask, /^why\b/),
    "what are": starts(ask, /^(?:what|which) (?:are|were)\b/),
    "what is": starts(ask, /^what(?:'s| is| was)\b/),
    "who, when or where": starts(ask, /^(?:who|when|where|whose)\b/),
    "yes or no": starts(ask, /^(?:is|are|was|were|do|does|did|has|have|will|would|should|am)\b/),
    "can you": starts(ask, /^(?:can|could|would|will) you\b/),
    "you are": starts(
      first,
      /^(?:you are|you're|you have|you wake|you were|as a|act as|imagine|pretend)\b/,
    ),
    I: starts(first, /^(?:i|my|we|our|i'm|i've|i'd)\b/),
    "a request for a role": starts(
      first,
      /^(?:i want you to|act as|pretend|embody|please assume)\b/,
    ),
  };
}

function ofRequests({ sentences, words }: Reading) {
  let [plural, numbered, each, sentence, pros, refers] = [0, 0, 0, 0, 0, 0];
  for (const { words: own, asks } of sentences) {
    for (const [at, word] of own.entries()) {
      if (asks && /^(?:what|which|list|some|any|the|are|suggest|recommend|give)$/.test(word)) {
        plural ||= yes(pluralFollows(own, at));
      }
      if (asks && isNumber(word)) numbered ||= yes(pluralFollows(own, at));
      if (word === "each" || word === "respectively" || word === "every") each = 1;
      if (
        (word === "one" || word === "a") &&
        /^(?:sentence|word|paragraph)$/.test(own[at + 1] ?? "")
      ) {
        sentence = 1;
      }
      if (word === "pros" || word === "advantages" || word === "differences") pros = 1;
      if (/^(?:previous|earlier|above|previously)$/.test(word)) refers = 1;
    }
  }
  const commas = sentences
    .filter(({ asks }) => asks)
    .reduce((most, { words: own }) => Math.max(most, own.filter((word) => word === ",").length), 0);
  return {
    "asks for several things": plural,
    "asks for a number of things": numbered,
    "something for each": each,
    "in one sentence": sentence,
    "for and against, or differences": pros,
    "refers to what was said": refers,
    "names several things": scale(commas, 3),
    "talks of itself": scale(words.filter((word) => /^(?:i|my|me|i'm)$/.test(word)).length, 4),
  };
}

/** Of each list: whether a request has one of its words, and their share of all words. */
function ofLists({ sentences, words }: Reading) {
  const asked = new Set<WordList>();
  const found = new Map<WordList, number>();
  for (const { words: own, asks } of sentences) {
    for (const word of own) {
      for (const list of listsWith(word)) {
        found.set(list, (found.get(list) ?? 0) + 1);
        if (asks) asked.add(list);
      }
    }
  }
  const first = (sentences.find(({ asks }) => asks) ?? sentences[0])?.words.slice(0, 3) ?? [];
  const opening = new Set(first.flatMap((word) => [...listsWith(word)]));
  const values: [string, number][] = [];
  for (const list of wordLists) {
    values.push([`asks: ${list}`, yes(asked.has(list))]);
    values.push([`opens: ${list}`, yes(opening.has(list))]);
    values.push([
      `share: ${list}`,
      scale((found.get(list) ?? 0) / Math.max(1, words.length), 0.15),
    ]);
  }
  return Object.fromEntries(values);
}

/** Cues that mean something else together. */
function together(cues: Record<string, number>): Record<string, number> {
  const of = (name: string) => cues[name] ?? 0;
  const topical = Math.max(of("asks: program"), of("asks: mathematics"), of("code"));
  return {
    "how to, in everyday life": of("how to") * (1 - topical),
    "how to, in a program": of("how to") * topical,
    "why, of society": of("why") * Math.max(of("asks: society"), of("asks: opinion")),
    "several things, of a program": of("asks for several things") * topical,
    "short, of a program": of("at most 12 words") * topical,
    "short, of life or society":
      of("at most 12 words") * Math.max(of("asks: life"), of("asks: society")) * (1 - topical),
    "a request to write a text": of("asks: write") * of("asks: text"),
    "a request about an input": Math.max(of("asks: change"), of("asks: pick")) * of("asks: source"),
    "its own situation": of("talks of itself") * of("asks: life"),
  };
}

/** All cues, always in the same order. `turn` is 1 for the first message of a chat. */
export function cuesOf(reading: Reading, turn: number): Record<string, number> {
  const cues: Record<string, number> = {
    ...ofLength(reading),
    ...ofSigns(reading),
    ...ofQuestions(reading),
    ...ofRequests(reading),
    "a later turn": yes(turn > 1),
    ...ofLists(reading),
  };
  return { ...cues, ...together(cues) };
}
