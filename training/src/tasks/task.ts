import { hash } from "@anabranch/shared/hash.ts";
import { Random } from "../random.ts";

export type Split = "train" | "heldout";

/**
 * One thing that an answer must say. The text must contain `contains` as whole words; with `near`, on a
 * line that also contains `near`. It is data, so that the Python evaluation reads it from the JSONL.
 */
export interface Claim {
  contains: string;
  near?: string;
}

/** The categories of the paper, and tasks that must stay serial. */
export const families = ["general", "retrieval", "mathematics", "serial"] as const;
export type Family = (typeof families)[number];

export interface Task {
  family: Family;
  /** The kind within its family: "compare-cities". */
  kind: string;
  /** Whether the answer has independent parts, so that a model should branch on it. */
  parallel: boolean;
  prompt: string;
  response: string;
  claims: Claim[];
}

/** Makes one task of a kind. */
export type TaskMaker = (draw: Draw) => Task;

/**
 * The source of randomness of one task, for its split. The last phrasing of every list and about a tenth
 * of all combinations (of entities, numbers or names) are held out.
 */
export class Draw {
  readonly random: Random;
  readonly split: Split;

  constructor(seed: string, split: Split) {
    this.random = new Random(seed);
    this.split = split;
  }

  /** Draws a phrasing. The last of three or more is only for held-out tasks. */
  phrase(list: readonly string[]): string {
    if (list.length < 3) return this.random.pick(list);
    const seen = list.slice(0, -1);
    const unseen = list[list.length - 1] as string;
    if (this.split === "heldout" && this.random.chance(0.3)) return unseen;
    return this.random.pick(seen);
  }

  /** Whether a task with this combination belongs to this split. */
  owns(...key: readonly (string | number)[]): boolean {
    const held = hash(key.map(String).sort().join("|")) % 10 === 0;
    return held === (this.split === "heldout");
  }

  /** Draws until the combination belongs to this split. */
  own<T>(make: () => T, key: (value: T) => readonly (string | number)[]): T {
    for (let i = 0; i < 2000; i++) {
      const value = make();
      if (this.owns(...key(value))) return value;
    }
    throw new Error("no draw belongs to this split");
  }
}

/** Whether a text satisfies all claims. */
export function check(claims: readonly Claim[], text: string): boolean {
  const lines = text.split("\n");
  return claims.every(({ contains, near }) =>
    near === undefined
      ? says(text, contains)
      : lines.some((line) => says(line, near) && says(line, contains)),
  );
}

/** Whether a text contains whole words: "14" and "4.5" do not contain "4". */
function says(text: string, words: string): boolean {
  const literal = words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`(?<![\\p{L}\\p{N}])${literal}(?![\\p{L}\\p{N}]|\\.\\p{N})`, "u").test(text);
}

/** "a, b and c" */
export function enumerate(items: readonly string[]): string {
  if (items.length < 2) return items.join("");
  return `${items.slice(0, -1).join(", ")} and ${items[items.length - 1]}`;
}

export function countWord(n: number): string {
  return ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight"][n] ?? String(n);
}

export function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/**
 * Replaces each `{name}` in a template with its value.
 * @throws Error if there is no value
 */
export function fill(template: string, values: Readonly<Record<string, string | number>>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`no value for {${name}} in "${template}"`);
    return String(value);
  });
}

/** One part of an answer: its lead, its text, and the claims that it must satisfy. */
export interface ListingPart {
  lead: string;
  text: string;
  claims: readonly string[];
}

export interface Listing {
  family: Family;
  kind: string;
  prompt: string;
  intro: string;
  parts: readonly ListingPart[];
  ending: string;
  endingClaims: readonly string[];
}

/** A task whose answer has independent parts. */
export function listing(layout: Layout, of: Listing): Task {
  const claims = of.parts.flatMap(({ lead, claims }) =>
    claims.map((contains) => (layout === "sections" ? { contains } : { contains, near: lead })),
  );
  return {
    family: of.family,
    kind: of.kind,
    parallel: true,
    prompt: of.prompt,
    response: of.intro + layOut(layout, of.parts) + of.ending,
    claims: [...claims, ...of.endingClaims.map((contains) => ({ contains }))],
  };
}

export type Layout = "bullets" | "numbers" | "paragraphs" | "sections";

/** Lays out the parts of an answer as Markdown, each with its lead. Ends with a blank line. */
function layOut(layout: Layout, parts: readonly { lead: string; text: string }[]): string {
  switch (layout) {
    case "bullets":
      return `${parts.map((p) => `- **${p.lead}**: ${p.text}\n`).join("")}\n`;
    case "numbers":
      return `${parts.map((p, i) => `${i + 1}. **${p.lead}**: ${p.text}\n`).join("")}\n`;
    case "paragraphs":
      return parts.map((p) => `**${p.lead}**: ${p.text}\n\n`).join("");
    case "sections":
      return parts.map((p) => `### ${p.lead}\n\n${p.text}\n\n`).join("");
  }
}

/** Draws a layout, and the request for it that a prompt adds; bullets are the default. */
export function layoutRequest(draw: Draw): { layout: Layout; request: string } {
  const r = draw.random.float();
  if (r < 0.64) return { layout: "bullets", request: "" };
  if (r < 0.76) {
    const request = draw.phrase([
      " Use a numbered list.",
      " Give a numbered list.",
      " Make it a numbered list.",
      " Give each a number.",
      " Number the points.",
      " Number them.",
    ]);
    return { layout: "numbers", request };
  }
  if (r < 0.88) {
    const request = draw.phrase([
      " Write a paragraph for each.",
      " Use a short paragraph for each.",
      " Write one paragraph each.",
      " A paragraph for each, please.",
      " Give each a paragraph.",
      " One paragraph each, please.",
    ]);
    return { layout: "paragraphs", request };
  }
  const request = draw.phrase([
    " Use a heading for each.",
    " Give each its own section.",
    " Give each a heading.",
    " Write a section for each.",
    " Put a heading over each.",
    " Put each under a heading.",
  ]);
  return { layout: "sections", request };
}
