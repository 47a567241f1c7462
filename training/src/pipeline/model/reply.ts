// A model's reply, held against the answer it is about.
import type { Candidate, Item } from "../candidates.ts";
import { areUnique } from "../names.ts";
import type { Unit } from "./units.ts";

export interface Reading {
  candidates: Candidate[];
  /** Why groups, or the whole reply, were not taken. */
  rejections: string[];
}

/** Nothing of the reply reaches the data but unit numbers and titles. */
export function readSpans(reply: string, text: string, units: readonly Unit[]): Reading {
  const groups = groupsOf(reply);
  if (groups === undefined)
    return { candidates: [], rejections: ["the reply is not the JSON asked for"] };
  const reading: Reading = { candidates: [], rejections: [] };
  for (const group of groups) {
    const found = candidateOf(group, text, units);
    if (typeof found === "string") reading.rejections.push(found);
    else reading.candidates.push(found);
  }
  return reading;
}

/** "yes" is a vote; whatever else is none. */
export const isYes = (reply: string): boolean => /^\W*yes\b/i.test(reply);

function groupsOf(reply: string): unknown[] | undefined {
  // Models wrap JSON in fences or say a word first.
  const json = reply.slice(reply.indexOf("{"), reply.lastIndexOf("}") + 1);
  try {
    const { groups } = JSON.parse(json) as { groups?: unknown };
    return Array.isArray(groups) ? groups : undefined;
  } catch {
    return undefined;
  }
}

interface Named {
  title?: unknown;
  from?: unknown;
  to?: unknown;
}

function candidateOf(group: unknown, text: string, units: readonly Unit[]): Candidate | string {
  const parts = (group as { parts?: unknown } | null)?.parts;
  if (!Array.isArray(parts) || parts.length < 2) return "a group without two parts";
  const items: Item[] = [];
  let next: number | undefined;
  for (const part of parts as (Named | null)[]) {
    const { title, from, to } = part ?? {};
    if (typeof title !== "string" || title.trim() === "") return "a part without a title";
    if (!Number.isInteger(from) || !Number.isInteger(to)) return "a span that is not two numbers";
    const [first, last] = [units[Number(from) - 1], units[Number(to) - 1]];
    if (!first || !last || Number(from) > Number(to)) return "a span outside the answer";
    if (next !== undefined && from !== next) return "spans that are not neighbours";
    next = Number(to) + 1;
    const clean = title.replace(/\s+/g, " ").trim();
    if (!isFromText(clean, text)) return "a title that is not from the answer";
    items.push({ lead: clean, text: clean, start: first.start, end: last.end });
  }
  if (!areUnique(items.map(({ lead }) => lead ?? ""))) return "titles are not unique";
  const [start, end] = [items[0]?.start ?? 0, items.at(-1)?.end ?? 0];
  return { kind: "model", whole: start, start, end, items, ordered: false };
}

/** At least half of a title's longer words stand in the answer. */
function isFromText(title: string, text: string): boolean {
  const lower = text.toLowerCase();
  const words = title.toLowerCase().match(/[\p{L}\d]{4,}/gu) ?? [];
  if (words.length === 0) return lower.includes(title.toLowerCase());
  return words.filter((word) => lower.includes(word)).length * 2 >= words.length;
}
