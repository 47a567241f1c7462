// The items of a candidate as text, and their context.

/** An item of a candidate. */
export interface ItemText {
  title: string;
  text: string;
}

/** What the writer of every item knows. */
export interface ItemContext {
  prompt: string;
  /** The answer before the first item. */
  before: string;
  /** The line that says what the items are. */
  leadIn: string;
  /** Items are sections or long paragraphs, which often build on each other. */
  sections: boolean;
  /** Items follow each other by number or name. */
  ordered: boolean;
  /** Only then are words of dependence known. */
  english: boolean;
  /** Items may begin with "First", "Second", which then only counts them. */
  enumerated: boolean;
}

/** A text without its list marker and emphasis. */
export const unmarked = (text: string) =>
  text
    .replace(/^\s*([-*+•]|\d+[.)]|#+|\|)\s*/, "")
    .replace(/\*\*|__|`/g, "")
    .trim();
