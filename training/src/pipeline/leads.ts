// The visible beginnings of an answer's items, as they stand in the document: "2. **Set goals**:". A plan of
// leads says what each branch is about, and a branch that opens with its lead need not write it again.

const mark = /^\s*(?:[-*+•]|\d{1,2}[.)]|#{2,6})[ \t]+/;
/** A bold start, with what separates it from the text. */
const bold = /^(?:\*\*|__)[^\n*_]{2,80}(?:\*\*|__)(?:[ \t]?[:.–—]| -(?= ))?/;
/** A heading: its whole line. */
const heading = /^[^\n]{2,100}(?=\n)/;
/** A row of a table: its first cell. */
const cell = /^\|[^|\n]{2,80}\|/;
/** Words before a colon. */
const label = /^[^\n:.!?]{2,60}:(?=[ \n])/;

const firstWords = 2;
const maxWords = 6;

/** The lead that an item's text itself sets off. */
function ownLead(text: string): string | undefined {
  const start = mark.exec(text)?.[0] ?? /^\s*/.exec(text)?.[0] ?? "";
  const rest = text.slice(start.length);
  const pattern = start.trim().startsWith("#") ? [heading] : [bold, cell, label];
  const found = pattern.map((each) => each.exec(rest)?.[0]).find((each) => each !== undefined);
  return found === undefined ? undefined : start + found;
}

/** The mark and the first words. */
function wordsOf(text: string, words: number): string {
  const start = mark.exec(text)?.[0] ?? /^\s*/.exec(text)?.[0] ?? "";
  const rest = new RegExp(`^\\S+(?:[ \\t]+\\S+){0,${words - 1}}`).exec(text.slice(start.length));
  return start + (rest?.[0] ?? "");
}

/** A lead without its mark, number and emphasis. */
export const nameOfLead = (lead: string): string =>
  lead
    .replace(mark, "")
    .replace(/[*_|#]/g, "")
    .replace(/[\s:.–—-]+$/, "")
    .trim();

const areUnique = (names: readonly string[]): boolean =>
  new Set(names.map((name) => name.toLowerCase())).size === names.length;

/**
 * The leads of all items of a stage: all set off by the text, or else the first words of each, as many as
 * tell them apart. Each is the beginning of its item.
 */
export function leadsOf(texts: readonly string[]): string[] {
  const own = texts.map(ownLead);
  if (own.every((lead) => lead !== undefined)) return own;
  for (let words = firstWords; ; words++) {
    const leads = texts.map((text) => wordsOf(text, words));
    if (words === maxWords || areUnique(leads.map(nameOfLead))) return leads;
  }
}
