// Names the parts of an answer in their own words.
import { plain } from "./markdown.ts";

/** Text before a separator is a lead if it is this short. */
const leadCharacters = 48;
const leadWords = 10;
/** Words in the name of a text without a lead; more, up to the maximum, to distinguish two texts. */
const firstWords = 4;
const maxWords = 8;

const dangling =
  /\s+(a|an|the|of|to|and|or|in|on|for|with|by|at|as|is|are|was|your|its|their|that|which|from|into)$/i;

const bullet = /^\s*(?:[-*+•]|\d+[.)]|#{1,6})\s+(?:\[[ xX]\]\s+)?/;
/** A number that only counts, so not a year. Says nothing about the text. */
const bareNumber = /^\d{1,3}$/;
const ordinal =
  /^(first(ly)?( of all)?|second(ly)?|third(ly)?|fourth(ly)?|fifth(ly)?|sixth|finally|lastly),?\s+/i;

/** Says nothing about what follows. */
const preamble =
  /^(it('|’)?s|it is|it may be|we should|we must|one should) (also )?(important|worth|crucial|essential|necessary|vital|helpful|useful)? ?(to )?(note|noting|consider|considering|remember|remembering|recogni[sz]e|understand|mention|mentioning|keep in mind|be aware)( that| of)?,? /i;

/** The lead of a text, if it has one, and the text from which a name is taken otherwise. */
export interface Named {
  lead?: string;
  text: string;
}

/** Finds the lead of a text: a heading, a bold start, or words before a colon or dash. */
export function named(source: string): Named {
  const line = (source.trimStart().split("\n")[0] ?? "").replace(bullet, "");
  const heading = /^\s*#{1,6}\s/.test(source);
  const bold = /^(?:\*\*|__)(.+?)(?:\*\*|__)/.exec(line)?.[1];
  const text = plain(line).replace(ordinal, "").replace(preamble, "");
  if (heading) return { lead: tidy(text), text };
  if (bold) return { lead: tidy(plain(bold)), text };
  const mark = text.search(/:(\s|$)| [-–—] /);
  const before = mark > 0 && mark <= leadCharacters ? tidy(text.slice(0, mark)) : "";
  return before === "" || bareNumber.test(before) ? { text } : { lead: before, text };
}

/** Names that differ from each other if the texts do; "" for a text without words. */
export function namesOf(items: readonly Named[]): string[] {
  for (let words = firstWords; ; words++) {
    const names = items.map((item) => nameOf(item, words));
    if (words === maxWords || areUnique(names)) return names;
  }
}

/** Names of the maximum length. */
export const fullNamesOf = (items: readonly Named[]): string[] =>
  items.map((item) => nameOf(item, maxWords));

function nameOf({ lead, text }: Named, words: number): string {
  const isShort = lead !== undefined && lead.split(" ").length <= leadWords;
  return isShort ? lead : opening(lead ?? text, words);
}

export function areUnique(names: readonly string[]): boolean {
  return new Set(names.map((name) => name.toLowerCase())).size === names.length;
}

function opening(text: string, words: number): string {
  const clause = text.split(/[,;:.!?(](?:\s|$)/)[0] ?? "";
  const source = clause.split(" ").length >= 2 ? clause : text;
  const start = tidy(source.split(/\s+/).slice(0, words).join(" "));
  const whole = start.replace(dangling, "").replace(dangling, "");
  return whole.includes(" ") ? whole : start;
}

/** Removes numbering, punctuation at the end, and unclosed brackets or quotes. */
export function tidy(title: string): string {
  const closed = title.includes("(") && !title.includes(")") ? (title.split("(")[0] ?? "") : title;
  const quotes = closed.match(/["“”]/g)?.length ?? 0;
  return (quotes % 2 === 1 ? closed.replace(/["“”]/g, "") : closed)
    .replace(/\s+/g, " ")
    .replace(/^\s*(?:\d+[.)]|[-–—](?=\s))\s*/, "")
    .trim()
    .replace(/[\s:.,;!–—-]+$/, "");
}
