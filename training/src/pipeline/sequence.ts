// Signs that a whole structure is a sequence: a story, a procedure, a derivation.
import {
  aboutAnother,
  advice,
  alternative,
  answerOption,
  deictic,
  imperative,
  inTime,
  narrative,
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
  stepByStep,
  total,
} from "./cues.ts";
import { type ItemContext, type ItemText, unmarked } from "./item-text.ts";
import { numbersIn } from "./numbers.ts";

/** A prompt states its request within so many characters of its start or end; any text may be between. */
const requestCharacters = 400;

/** Whether a prompt asks for a story, poem, letter or dialogue, which stays serial. */
export function asksForNarrative(prompt: string): boolean {
  return (
    /\b(write|tell|compose|create|make|continue|give|generate|draft|produce|craft|structure|format|describe|explain|conduct|simulate|hold|script|come up|can you)\b/i.test(
      prompt,
    ) &&
    narrative.test(`${prompt.slice(0, requestCharacters)}\n${prompt.slice(-requestCharacters)}`)
  );
}

/** Whether a reason also applies to lists inside the items: the list inside a step holds smaller steps. */
export const appliesToNestedLists = (reason: string): boolean =>
  ["numbered steps", "a procedure", "goes on from the one before"].includes(reason);

/** Why items form a sequence, if they do: steps, chapters, days, ingredients, derivations. */
export function sequenceOf(items: readonly ItemText[], context: ItemContext): string | undefined {
  const has = (pattern: RegExp) => items.some(({ title }) => pattern.test(title));
  if (has(numbered)) return "numbered steps";
  if (has(procedureTitle)) return "a procedure";
  if (items.filter(({ text }) => oneMore.test(firstWords(text))).length > 1) {
    return "goes on from the one before";
  }
  if (has(aboutAnother)) return "a part about another";
  if (has(answerOption)) return "choices of a question";
  const measured = items.filter(({ text }) => quantity.test(unmarked(text))).length;
  if (measured * 3 >= items.length && measured > 1) return "a procedure";
  if (isProcedure(items, context)) return "a procedure";
  if (arePartsOfTotal(items, context)) return "parts of a total";
  if (items.some(({ title }, i) => i > 0 && deictic.test(title))) return "a part about another";
  if (context.sections && !standApart(items, context)) return "sections may build on each other";
  if (buildsOnTitle(items)) return "a part about another";
  const formulas = items.filter(({ text }) =>
    /\\\[|\\\(|\$\$|\\frac|\$[^$\n]*[\\^_][^$\n]*\$/.test(text),
  );
  if (formulas.length > 1 && procedural.test(context.prompt)) return "works out formulas";
  const programs = items.filter(({ text }) => /^[ \t]*(```|~~~)/m.test(text));
  const alternatives = items.every(({ title }) => alternative.test(title));
  if (programs.length > 1 && !alternatives) return "a program in several parts";
  return undefined;
}

const firstWords = (text: string) => unmarked(text).split(/[.,:;!?]/)[0] ?? "";

/** The last sentence of a lead-in that ends in a colon, which says what follows. */
function lastSentence(leadIn: string): string {
  const sentences = leadIn.trimEnd().endsWith(":") ? leadIn.split(/[.!?]\s+(?=\p{Lu})/u) : [leadIn];
  return sentences.at(-1) ?? "";
}

export const saysSideBySide = (leadIn: string): boolean => sideBySide.test(lastSentence(leadIn));

function isProcedure(
  items: readonly ItemText[],
  { prompt, leadIn, ordered }: ItemContext,
): boolean {
  if (ordered && processOf.test(prompt)) return true;
  if (stepByStep.test(leadIn) || inTime.test(lastSentence(leadIn))) return true;
  const areActions = items.filter(({ title }) => imperative.test(title)).length * 2 >= items.length;
  // Tips for cooking follow the order of cooking.
  if (saysSideBySide(leadIn)) return ordered && areActions && sequential.test(prompt);
  if (procedure.test(leadIn) || sequential.test(prompt)) return true;
  const instructed = procedural.test(prompt);
  if (instructed && ordered) return true;
  return areActions && (instructed || !advice.test(prompt));
}

/** Whether numbers add up to a total ("20%", "30%", "50%"), so that each depends on the others. */
export function arePartsOfTotal(
  items: readonly ItemText[],
  { prompt, leadIn }: ItemContext,
): boolean {
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

/** 15 for "(15 points)". */
const pointsOf = (text: string): number =>
  Number(/\((\d+) (?:points?|marks?|stars?|hours?|minutes?)\)/i.exec(text)?.[1] ?? Number.NaN);

/** Whether the lead-in, the prompt or their titles indicate that sections are independent. */
function standApart(items: readonly ItemText[], { prompt, leadIn }: ItemContext): boolean {
  if (saysSideBySide(leadIn) || advice.test(prompt) || severalThings.test(prompt)) return true;
  const asked = prompt.toLowerCase();
  return items.every(({ title }) =>
    (title.toLowerCase().match(/[\p{L}\d]{4,}/gu) ?? []).some((word) => asked.includes(word)),
  );
}

/** Whether a title builds on an earlier one: "Tasks for each ticket" after "Tickets". */
function buildsOnTitle(items: readonly ItemText[]): boolean {
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
