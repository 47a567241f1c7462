import { hash } from "@anabranch/shared/hash.ts";
import { Random } from "../random.ts";

export type Split = "train" | "heldout";

/**
 * One thing an answer must say. `contains` must stand in the text as whole words; with `near`, on
 * a line that also holds `near`. Data rather than code, so that the Python evaluation reads the
 * same verifier from the JSONL.
 */
export interface Claim {
  contains: string;
  near?: string;
}

/** What the paper measures apart, and what must stay serial. */
export const families = ["general", "retrieval", "mathematics", "serial"] as const;
export type Family = (typeof families)[number];

export interface Task {
  family: Family;
  /** What of its family it is: "compare-cities". */
  kind: string;
  /** Whether the answer has independent parts, so that a model should branch on it. */
  parallel: boolean;
  prompt: string;
  response: string;
  claims: Claim[];
}

export type TaskMaker = (draw: Draw) => Task;

/**
 * What a family draws from: randomness, and the train/held-out split. Held out are the last
 * phrasing of every list and about a tenth of all combinations (of entities, numbers or names).
 */
export class Draw {
  readonly random: Random;
  readonly split: Split;

  constructor(seed: string, split: Split) {
    this.random = new Random(seed);
    this.split = split;
  }

  /** One phrasing of several; the last of three or more is kept for held-out tasks. */
  phrase(list: readonly string[]): string {
    if (list.length < 3) return this.random.pick(list);
    const seen = list.slice(0, -1);
    const unseen = list[list.length - 1] as string;
    if (this.split === "heldout" && this.random.chance(0.3)) return unseen;
    return this.random.pick(seen);
  }

  /** Whether a task built from these parts belongs to this split. */
  owns(...key: readonly (string | number)[]): boolean {
    const held = hash(key.map(String).sort().join("|")) % 10 === 0;
    return held === (this.split === "heldout");
  }

  /** Draws until the key of what was drawn belongs to this split. */
  own<T>(make: () => T, key: (value: T) => readonly (string | number)[]): T {
    for (let i = 0; i < 2000; i++) {
      const value = make();
      if (this.owns(...key(value))) return value;
    }
    throw new Error("no draw belongs to this split");
  }
}

export function check(claims: readonly Claim[], text: string): boolean {
  const lines = text.split("\n");
  return claims.every(({ contains, near }) =>
    near === undefined
      ? says(text, contains)
      : lines.some((line) => says(line, near) && says(line, contains)),
  );
}

/** Whole-word search: "4" is not said by "14" or by "4.5". */
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

/** Fills `{name}` values; an unknown slot is a mistake in a template and throws. */
export function fill(template: string, values: Readonly<Record<string, string | number>>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`no value for {${name}} in "${template}"`);
    return String(value);
  });
}

/** One part of an answer: its lead, what it says, and the claims that it must make. */
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

/** The parts of an answer laid out as Markdown, each part with its lead. Ends in a blank line. */
export function layOut(layout: Layout, parts: readonly { lead: string; text: string }[]): string {
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

/** What a prompt adds to ask for a layout; none asks for bullets. */
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
