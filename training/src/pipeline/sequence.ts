// Signs that a whole structure is a sequence: a story, a procedure, a derivation.
import {
  aboutAnother,
  advice,
  alternative,
  choice,
  deictic,
  imperative,
  inTime,
  numbered,
  oneMore,
  procedural,
  procedure,
  procedureTitle,
  processOf,
  quantity,
  sequential,
  severalThings,
  sideBySide,
  steps,
  told,
  total,
} from "./cues.ts";
import { numbersIn } from "./numbers.ts";
import { type Surroundings, unmarked, type Written } from "./written.ts";

/** A prompt says what it wants at its start or end; between may be a text of any kind. */
const askedWithin = 400;
/** Answers to prompts like this are stories, poems, letters or dialogues and stay serial. */
export function isTold(prompt: string): boolean {
  return (
    /\b(write|tell|compose|create|make|continue|give|generate|draft|produce|craft|structure|format|describe|explain|conduct|simulate|hold|script|come up|can you)\b/i.test(
      prompt,
    ) && told.test(`${prompt.slice(0, askedWithin)}\n${prompt.slice(-askedWithin)}`)
  );
}

/** Reasons that hold for the lists inside an item as well: a step's own list is its smaller steps. */
export const isInOrder = (reason: string): boolean =>
  ["numbered steps", "a procedure", "goes on from the one before"].includes(reason);

/** Steps, chapters, days, ingredients and instructions, derivations. */
export function sequenceOf(items: readonly Written[], around: Surroundings): string | undefined {
  const has = (pattern: RegExp) => items.some(({ title }) => pattern.test(title));
  if (has(numbered)) return "numbered steps";
  if (has(procedureTitle)) return "a procedure";
  if (items.filter(({ text }) => oneMore.test(firstWords(text))).length > 1) {
    return "goes on from the one before";
  }
  if (has(aboutAnother)) return "a part about another";
  if (has(choice)) return "choices of a question";
  const measured = items.filter(({ text }) => quantity.test(unmarked(text))).length;
  if (measured * 3 >= items.length && measured > 1) return "a procedure";
  if (isProcedure(items, around)) return "a procedure";
  if (arePartsOfTotal(items, around)) return "parts of a total";
  if (items.some(({ title }, i) => i > 0 && deictic.test(title))) return "a part about another";
  if (around.sections && !standApart(items, around)) return "sections may build on each other";
  if (buildsOnTitle(items)) return "a part about another";
  const formulas = items.filter(({ text }) =>
    /\\\[|\\\(|\$\$|\\frac|\$[^$\n]*[\\^_][^$\n]*\$/.test(text),
  );
  if (formulas.length > 1 && procedural.test(around.prompt)) return "works out formulas";
  const programs = items.filter(({ text }) => /^[ \t]*(```|~~~)/m.test(text));
  const alternatives = items.every(({ title }) => alternative.test(title));
  if (programs.length > 1 && !alternatives) return "a program in several parts";
  return undefined;
}

const firstWords = (text: string) => unmarked(text).split(/[.,:;!?]/)[0] ?? "";

/** A lead-in that ends in a colon says what follows in its last sentence. */
function lastSentence(leadIn: string): string {
  const sentences = leadIn.trimEnd().endsWith(":") ? leadIn.split(/[.!?]\s+(?=\p{Lu})/u) : [leadIn];
  return sentences.at(-1) ?? "";
}

export const saysSideBySide = (leadIn: string): boolean => sideBySide.test(lastSentence(leadIn));

function isProcedure(
  items: readonly Written[],
  { prompt, leadIn, ordered }: Surroundings,
): boolean {
  if (ordered && processOf.test(prompt)) return true;
  if (steps.test(leadIn) || inTime.test(lastSentence(leadIn))) return true;
  const toDo = items.filter(({ title }) => imperative.test(title)).length * 2 >= items.length;
  // Tips for cooking are cooking, one after the other.
  if (saysSideBySide(leadIn)) return ordered && toDo && sequential.test(prompt);
  if (procedure.test(leadIn) || sequential.test(prompt)) return true;
  const instructed = procedural.test(prompt);
  if (instructed && ordered) return true;
  return toDo && (instructed || !advice.test(prompt));
}

/** "20%", "30%", "50%", or numbers that the prompt wants to come to one: each is chosen with the rest in view. */
function arePartsOfTotal(items: readonly Written[], { prompt, leadIn }: Surroundings): boolean {
  const shares = items.map(({ text }) =>
    Number(/(\d+(?:\.\d+)?) ?%/.exec(text)?.[1] ?? Number.NaN),
  );
  const sum = shares.reduce((total, share) => total + share, 0);
  if (Math.abs(sum - 100) < 0.5) return true;
  const points = items.map(({ text }) => pointsOf(text));
  const all = points.reduce((total, point) => total + point, 0);
  if (all > 0 && numbersIn(leadIn).includes(String(all))) return true;
  const counted = items.filter(({ text }) => /\d/.test(unmarked(text))).length;
  const wanted = total.test(leadIn) || (total.test(prompt) && !/\bhow (many|much)\b/i.test(prompt));
  return wanted && counted * 2 > items.length;
}

/** "(15 points)". */
const pointsOf = (text: string): number =>
  Number(/\((\d+) (?:points?|marks?|stars?|hours?|minutes?)\)/i.exec(text)?.[1] ?? Number.NaN);

/** Whether something says that sections stand side by side: the lead-in, the prompt, their titles. */
function standApart(items: readonly Written[], { prompt, leadIn }: Surroundings): boolean {
  if (saysSideBySide(leadIn) || advice.test(prompt) || severalThings.test(prompt)) return true;
  const asked = prompt.toLowerCase();
  return items.every(({ title }) =>
    (title.toLowerCase().match(/[\p{L}\d]{4,}/gu) ?? []).some((word) => asked.includes(word)),
  );
}

/** "Tasks for each ticket" after "Tickets". */
function buildsOnTitle(items: readonly Written[]): boolean {
  return items.some(({ title }, i) => {
    const noun =
      /\b(?:for|of|in|on|to) (?:each|the|these|those|all|every) (?:[\p{L}-]+ )?([\p{L}]{4,})/iu.exec(
        title,
      )?.[1];
    const stem = noun?.toLowerCase().replace(/s$/, "");
    return (
      stem !== undefined && items.slice(0, i).some((one) => one.title.toLowerCase().includes(stem))
    );
  });
}
