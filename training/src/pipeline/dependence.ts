// Signs that an item can't be written without having read an earlier one.
import {
  addition,
  goesOn,
  ordinal,
  pronoun,
  pronounThen,
  reference,
  saidAgain,
  sequel,
} from "./cues.ts";
import { definites, indefinites } from "./introduced.ts";
import { sumOf, workedWith } from "./numbers.ts";
import { saysSideBySide, sequenceOf } from "./sequence.ts";
import { type Surroundings, unmarked, type Written } from "./written.ts";

/** Items [from, to) that may be one stage. */
export interface ItemRun {
  from: number;
  to: number;
}

/** Why items depend on each other, or the runs of them that don't; runs may overlap. */
export type Verdict = { reason: string } | { runs: ItemRun[] };

/**
 * Holds items against each other. One that goes on from its neighbour as the next step, uses what
 * an earlier one found or refers to it makes the whole group dependent. One that only knows of
 * those before it ("also", a pronoun, a name) ends a run: what is written before or after a stage
 * may be read. It begins the next run, or stays serial between the two.
 */
export function dependence(items: readonly Written[], around: Surroundings): Verdict {
  const sequence = sequenceOf(items, around);
  if (sequence !== undefined) return { reason: sequence };
  const bodies = items.map(({ title, text }) => bodyOf(text, title, around.enumerated));
  const next = bodies.map((body, i) => i > 0 && isNextStep(body));
  // "After a meal, …" among ten tips is no procedure.
  const few = next.filter(Boolean).length * fewOf <= items.length;
  if (next.includes(true) && !(few && saysSideBySide(around.leadIn))) {
    return { reason: "goes on from the one before" };
  }
  const reason = stepwise(items, bodies, around);
  if (reason !== undefined) return { reason };
  const known = `${around.prompt}\n${around.before}`.toLowerCase();
  const runs: ItemRun[] = [];
  let why = "fewer than two branches";
  const starts = new Set([0]);
  // A set hands out what is added to it on the way.
  for (const from of starts) {
    let to = from + 1;
    for (; to < items.length; to++) {
      const soft = next[to]
        ? "goes on from the one before"
        : knowsOthers(items, bodies, from, to, known);
      if (soft === undefined) continue;
      why = soft;
      starts.add(to);
      break;
    }
    if (to - from > 1 && to <= items.length) {
      runs.push({ from, to });
      starts.add(to + 1);
    }
  }
  return runs.length > 0 ? { runs } : { reason: why };
}

/** One item in so many may sound like a next step where the lead-in says that all stand side by side. */
const fewOf = 4;

const isNextStep = ({ lead, rest }: Body): boolean =>
  sequel.test(lead) || sequel.test(rest) || pronounThen.test(firstSentence(rest));

/** Signs that one item needs what another says. */
function stepwise(
  items: readonly Written[],
  bodies: readonly Body[],
  around: Surroundings,
): string | undefined {
  const known = `${around.prompt}\n${around.before}`.toLowerCase();
  const results = new Set<string>();
  const introduced = new Set<string>();
  const names = new Set<string>();
  const standSideBySide = saysSideBySide(around.leadIn);
  for (const [i, { title, text }] of items.entries()) {
    const { lead, rest } = bodies[i] ?? { lead: "", rest: "" };
    if (reference.test(text)) return "refers to another part";
    if (goesOn.test(lead)) return "goes on from the one before";
    if (
      !standSideBySide &&
      definites(rest).some((noun) => introduced.has(noun) && !title.toLowerCase().includes(noun))
    ) {
      return "takes up what an earlier part introduced";
    }
    if (takesUpTitle(rest, items.slice(0, i))) return "takes up what an earlier part introduced";
    if (workedWith(text).some((number) => results.has(number))) return "uses an earlier result";
    for (const line of text.split("\n")) results.add(sumOf(line)?.result ?? "");
    const own = codeNames(text);
    for (const name of own) if (names.has(name)) return "uses a name from an earlier part";
    for (const name of own) if (!known.includes(name.toLowerCase())) names.add(name);
    for (const noun of indefinites(text)) if (!known.includes(noun)) introduced.add(noun);
  }
  return undefined;
}

/** "These monomers are combined" after "Monomers". */
function takesUpTitle(rest: string, earlier: readonly Written[]): boolean {
  const noun = /^(?:this|these|those) ([\p{L}-]{4,})/iu.exec(rest)?.[1]?.toLowerCase();
  return noun !== undefined && earlier.some(({ title }) => title.toLowerCase().includes(noun));
}

/** Signs that item `i` was written knowing of those from `from` on, without needing them. */
function knowsOthers(
  items: readonly Written[],
  bodies: readonly Body[],
  from: number,
  i: number,
  known: string,
): string | undefined {
  const { lead, rest } = bodies[i] ?? { lead: "", rest: "" };
  if (addition.test(lead) || addition.test(rest) || saidAgain.test(rest)) {
    return "adds to the one before";
  }
  if (pronoun.test(lead) && startOf(lead) !== startOf(bodies[from]?.lead ?? "")) {
    return "opens with a pronoun";
  }
  const names = items.slice(from, i).some(({ title }) => mentions(rest, title, known));
  return names ? "names an earlier part" : undefined;
}

interface Body {
  /** Without list marker, emphasis or ordinal. */
  lead: string;
  /** Behind the title. */
  rest: string;
}

function bodyOf(text: string, title: string, enumerated: boolean): Body {
  const plain = unmarked(text);
  const lead = enumerated ? plain.replace(ordinal, "") : plain;
  // A text without a lead is named after its first words, which then are part of its sentence.
  const behind = lead.startsWith(title)
    ? /^\s*[:.,–—|-][\s:.,–—|-]*/.exec(lead.slice(title.length))
    : null;
  const rest = behind ? lead.slice(title.length + behind[0].length) : lead;
  return { lead, rest };
}

const startOf = (text: string) => (/^[\p{L}']+/u.exec(text)?.[0] ?? "").toLowerCase();

const firstSentence = (text: string) => text.split(/[.!?](\s|$)/)[0] ?? "";

/** An earlier title of two words or more, or a proper name, that nothing before the items names. */
function mentions(text: string, title: string, known: string): boolean {
  const lower = title.toLowerCase();
  if (lower.length < 4 || known.includes(lower)) return false;
  if (title.includes(" ")) return text.toLowerCase().includes(lower);
  return new RegExp(`[a-z,] ${literal(title)}\\b`).test(text) && /^\p{Lu}/u.test(title);
}

const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** Names in code, and addresses. */
function codeNames(text: string): Set<string> {
  const names = new Set<string>();
  for (const [, code = ""] of text.matchAll(/`([^`\n]{3,60})`/g)) names.add(code);
  for (const [address] of text.matchAll(/\b(?:https?:\/\/|www\.)[^\s)"'>]+/g)) names.add(address);
  return names;
}
