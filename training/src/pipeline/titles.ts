// Short names for branches, from their own text.
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

/** A title, or the text it must be cut from. */
export interface Named {
  lead?: string;
  text: string;
}

/** What a text itself says it is about: a bold start, a heading, or words before a colon or dash. */
export function named(source: string): Named {
  const line = (source.trimStart().split("\n")[0] ?? "").replace(bullet, "");
  const heading = /^\s*#{1,6}\s/.test(source);
  const bold = /^(?:\*\*|__)(.+?)(?:\*\*|__)/.exec(line)?.[1];
  const text = plain(line).replace(ordinal, "");
  if (heading) return { lead: tidy(text), text };
  if (bold) return { lead: tidy(plain(bold)), text };
  const mark = text.search(/:(\s|$)| [-–—] /);
  const before = mark > 0 && mark <= leadCharacters ? tidy(text.slice(0, mark)) : "";
  return before === "" || bareNumber.test(before) ? { text } : { lead: before, text };
}

/** Names that differ from each other where the texts do; "" where a text has no words. */
export function titlesOf(items: readonly Named[]): string[] {
  for (let words = firstWords; ; words++) {
    const titles = items.map(({ lead, text }) =>
      lead !== undefined && lead.split(" ").length <= leadWords
        ? lead
        : opening(lead ?? text, words),
    );
    if (words === mostWords || areUnique(titles)) return titles;
  }
}

export function areUnique(titles: readonly string[]): boolean {
  return new Set(titles.map((title) => title.toLowerCase())).size === titles.length;
}

/** The longest start of a title, in whole words, that `fits`; "" where not even one word does. */
export function shortened(title: string, fits: (title: string) => boolean): string {
  let words = title.split(" ");
  while (words.length > 0) {
    const start = tidy(words.join(" "));
    if (fits(start)) return start;
    words = words.slice(0, -1);
  }
  return "";
}

function opening(text: string, words: number): string {
  const clause = text.split(/[,;:.!?(](?:\s|$)/)[0] ?? "";
  const source = clause.split(" ").length >= 2 ? clause : text;
  const start = tidy(source.split(/\s+/).slice(0, words).join(" "));
  const whole = start.replace(dangling, "").replace(dangling, "");
  return whole.includes(" ") ? whole : start;
}

/** Without numbering, marks at the end, and brackets or quotes that a cut has left open. */
function tidy(title: string): string {
  const closed = title.includes("(") && !title.includes(")") ? (title.split("(")[0] ?? "") : title;
  const quotes = closed.match(/["“”]/g)?.length ?? 0;
  return (quotes % 2 === 1 ? closed.replace(/["“”]/g, "") : closed)
    .replace(/\s+/g, " ")
    .replace(/^\s*\d+[.)]\s*/, "")
    .trim()
    .replace(/[\s:.,;!–—-]+$/, "");
}
