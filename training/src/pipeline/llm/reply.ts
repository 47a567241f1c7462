// Reads a model's reply and validates it against the answer.
import type { Candidate, Item } from "../candidates.ts";
import { areUnique } from "../item-names.ts";
import type { Unit } from "./units.ts";

export interface NamedSpans {
  candidates: Candidate[];
  /** Why groups of parts, or the whole reply, were rejected. */
  rejections: string[];
}

/** Reads candidates from a reply. Only unit numbers and titles of the reply reach the data. */
export function readSpans(reply: string, text: string, units: readonly Unit[]): NamedSpans {
  const groups = groupsOf(reply);
  if (groups === undefined)
    return { candidates: [], rejections: ["the reply is not the JSON asked for"] };
  const named: NamedSpans = { candidates: [], rejections: [] };
  for (const group of groups) {
    const found = candidateOf(group, text, units);
    if (typeof found === "string") named.rejections.push(found);
    else named.candidates.push(found);
  }
  return named;
}

/** Whether a reply is a vote for independence. */
export const isYes = (reply: string): boolean => /^\W*yes\b/i.test(reply);

function groupsOf(reply: string): unknown[] | undefined {
  // Models may wrap JSON in code fences or other text.
  const json = reply.slice(reply.indexOf("{"), reply.lastIndexOf("}") + 1);
  try {
    const { groups } = JSON.parse(json) as { groups?: unknown };
    return Array.isArray(groups) ? groups : undefined;
  } catch {
    return undefined;
  }
}

/** One part of a reply, not yet validated. */
interface ReplyPart {
  title?: unknown;
  from?: unknown;
  to?: unknown;
}

function candidateOf(group: unknown, text: string, units: readonly Unit[]): Candidate | string {
  const parts = (group as { parts?: unknown } | null)?.parts;
  if (!Array.isArray(parts) || parts.length < 2) return "a group without two parts";
  const items: Item[] = [];
  let next: number | undefined;
  for (const part of parts as (ReplyPart | null)[]) {
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
  return { kind: "model", structureStart: start, start, end, items, ordered: false };
}

/** Whether the answer contains at least half of a title's longer words. */
function isFromText(title: string, text: string): boolean {
  const lower = text.toLowerCase();
  const words = title.toLowerCase().match(/[\p{L}\d]{4,}/gu) ?? [];
  if (words.length === 0) return lower.includes(title.toLowerCase());
  return words.filter((word) => lower.includes(word)).length * 2 >= words.length;
}
