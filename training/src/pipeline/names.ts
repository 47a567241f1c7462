// What parts of an answer are called, in their own words.
import { plain } from "./markdown.ts";

/** What stands before a separator is a lead if it is this short. */
const leadCharacters = 48;
const leadWords = 10;
/** Words taken of a text without a lead, and the most that are taken to tell two apart. */
const firstWords = 4;
const mostWords = 8;

const dangling =
  /\s+(a|an|the|of|to|and|or|in|on|for|with|by|at|as|is|are|was|your|its|their|that|which|from|into)$/i;

const bullet = /^\s*(?:[-*+•]|\d+[.)]|#{1,6})\s+(?:\[[ xX]\]\s+)?/;
/** Says nothing: a number in a row, not a year. */
const bareNumber = /^\d{1,3}$/;
const ordinal =
  /^(first(ly)?( of all)?|second(ly)?|third(ly)?|fourth(ly)?|fifth(ly)?|sixth|finally|lastly),?\s+/i;

/** Says nothing of what follows. */
const preamble =
  /^(it('|’)?s|it is|it may be|we should|we must|one should) (also )?(important|worth|crucial|essential|necessary|vital|helpful|useful)? ?(to )?(note|noting|consider|considering|remember|remembering|recogni[sz]e|understand|mention|mentioning|keep in mind|be aware)( that| of)?,? /i;

/** A lead, or the text a name must be cut from. */
export interface Named {
  lead?: string;
  text: string;
}

/** What a text itself says it is about: a bold start, a heading, or words before a colon or dash. */
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

/** Names that differ from each other where the texts do; "" where a text has no words. */
export function namesOf(items: readonly Named[]): string[] {
  for (let words = firstWords; ; words++) {
    const names = items.map((item) => nameOf(item, words));
    if (words === mostWords || areUnique(names)) return names;
  }
}

/** As long as names get. */
export const fullNamesOf = (items: readonly Named[]): string[] =>
  items.map((item) => nameOf(item, mostWords));

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

/** Without numbering, marks at the end, and brackets or quotes that a cut has left open. */
export function tidy(title: string): string {
  const closed = title.includes("(") && !title.includes(")") ? (title.split("(")[0] ?? "") : title;
  const quotes = closed.match(/["“”]/g)?.length ?? 0;
  return (quotes % 2 === 1 ? closed.replace(/["“”]/g, "") : closed)
    .replace(/\s+/g, " ")
    .replace(/^\s*(?:\d+[.)]|[-–—](?=\s))\s*/, "")
    .trim()
    .replace(/[\s:.,;!–—-]+$/, "");
}
