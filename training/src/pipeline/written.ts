// Items of a candidate, and what stands around them.

export interface Written {
  title: string;
  text: string;
}

/** What every item may know: the prompt, and the answer before the first item. */
export interface Surroundings {
  prompt: string;
  before: string;
  /** The line that says what the items are. */
  leadIn: string;
  /** Items are sections or long paragraphs, which often build on each other. */
  sections: boolean;
  /** Items follow each other by number or name. */
  ordered: boolean;
  /** "First", "second" at the start of an item only count it. */
  enumerated: boolean;
}

/** Without list marker and emphasis. */
export const unmarked = (text: string) =>
  text
    .replace(/^\s*([-*+•]|\d+[.)]|#+|\|)\s*/, "")
    .replace(/\*\*|__|`/g, "")
    .trim();
