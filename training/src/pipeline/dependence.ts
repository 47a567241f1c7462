// Looks for signs that an item can't be written without knowledge of an earlier one.
import {
  addition,
  continuation,
  ordinal,
  pronoun,
  pronounThen,
  reference,
  saidAgain,
  sequel,
} from "./cues.ts";
import { type ItemContext, type ItemText, unmarked } from "./item-text.ts";
import { definites, indefinites } from "./noun-phrases.ts";
import { sumOf, workedWith } from "./numbers.ts";
import { reasonForSerial } from "./other-languages.ts";
import { arePartsOfTotal, saysSideBySide, sequenceOf } from "./sequence.ts";
import { mentionsSiblings } from "./siblings.ts";

/** Items [from, to) that may be one stage. */
export interface ItemRun {
  from: number;
  to: number;
}

/** Why the items depend on each other, or else the runs of independent items, which may overlap. */
export type Verdict = { reason: string } | { runs: ItemRun[] };

/**
 * Compares items with each other. If an item continues its neighbour as the next step, uses the result of
 * an earlier item or refers to it, all items are dependent. If it only mentions earlier items ("also", a
 * pronoun, a name), it ends a run, because it may know text that is written before its stage. It then
 * begins the next run, or stays serial between two runs.
 */
export function checkDependence(items: readonly ItemText[], context: ItemContext): Verdict {
  return context.english ? checkEnglish(items, context) : checkOther(items, context);
}

function checkOther(items: readonly ItemText[], context: ItemContext): Verdict {
  const reason =
    reasonForSerial(items, context) ??
    (arePartsOfTotal(items, context) ? "parts of a total" : undefined) ??
    reasonToNeedResults(items, knownTo(context));
  return reason === undefined ? { runs: [{ from: 0, to: items.length }] } : { reason };
}

function checkEnglish(items: readonly ItemText[], context: ItemContext): Verdict {
  const sequence = sequenceOf(items, context);
  if (sequence !== undefined) return { reason: sequence };
  const bodies = items.map(({ title, text }) => bodyOf(text, title, context.enumerated));
  const next = bodies.map((body, i) => i > 0 && isNextStep(body));
  // "After a meal, …" among ten tips is no procedure.
  const few = next.filter(Boolean).length * itemsPerException <= items.length;
  if (next.includes(true) && !(few && saysSideBySide(context.leadIn))) {
    return { reason: "goes on from the one before" };
  }
  const known = knownTo(context);
  const reason = reasonToNeedOthers(items, bodies, context) ?? reasonToNeedResults(items, known);
  if (reason !== undefined) return { reason };
  const runs: ItemRun[] = [];
  let why = "fewer than two branches";
  const starts = new Set([0]);
  // Iteration over a set includes elements added during the iteration.
  for (const from of starts) {
    let to = from + 1;
    for (; to < items.length; to++) {
      const mention = next[to]
        ? "goes on from the one before"
        : reasonToMentionOthers(items, bodies, from, to, known);
      if (mention === undefined) continue;
      why = mention;
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

/** One item in so many may look like a next step if the lead-in says that all are independent. */
const itemsPerException = 4;

const isNextStep = ({ lead, rest }: Body): boolean =>
  sequel.test(lead) || sequel.test(rest) || pronounThen.test(firstSentence(rest));

/** What the writer of every item has read, in lower case. */
const knownTo = ({ prompt, before }: ItemContext) => `${prompt}\n${before}`.toLowerCase();

/** Signs in any language that one item needs a number or a name that another has made. */
function reasonToNeedResults(items: readonly ItemText[], known: string): string | undefined {
  const results = new Set<string>();
  const names = new Set<string>();
  for (const { text } of items) {
    if (workedWith(text).some((number) => results.has(number))) return "uses an earlier result";
    for (const line of text.split("\n")) results.add(sumOf(line)?.result ?? "");
    const own = codeNames(text);
    for (const name of own) if (names.has(name)) return "uses a name from an earlier part";
    for (const name of own) if (!known.includes(name.toLowerCase())) names.add(name);
  }
  return undefined;
}

/** Signs that one item needs the content of another. */
function reasonToNeedOthers(
  items: readonly ItemText[],
  bodies: readonly Body[],
  context: ItemContext,
): string | undefined {
  const known = knownTo(context);
  const introduced = new Set<string>();
  const standSideBySide = saysSideBySide(context.leadIn);
  for (const [i, { title, text }] of items.entries()) {
    const { lead, rest } = bodies[i] ?? { lead: "", rest: "" };
    if (reference.test(text)) return "refers to another part";
    if (continuation.test(lead)) return "goes on from the one before";
    if (
      !standSideBySide &&
      definites(rest).some((noun) => introduced.has(noun) && !title.toLowerCase().includes(noun))
    ) {
      return "takes up what an earlier part introduced";
    }
    if (refersToTitle(rest, items.slice(0, i))) return "takes up what an earlier part introduced";
    for (const noun of indefinites(text)) if (!known.includes(noun)) introduced.add(noun);
  }
  return undefined;
}

/** Whether a text refers to an earlier title: "These monomers are combined" after "Monomers". */
function refersToTitle(rest: string, earlier: readonly ItemText[]): boolean {
  const noun = /^(?:this|these|those) ([\p{L}-]{4,})/iu.exec(rest)?.[1]?.toLowerCase();
  return noun !== undefined && earlier.some(({ title }) => title.toLowerCase().includes(noun));
}

/** Signs that item `i` mentions those from `from` on without needing their content. */
function reasonToMentionOthers(
  items: readonly ItemText[],
  bodies: readonly Body[],
  from: number,
  i: number,
  known: string,
): string | undefined {
  const { lead, rest } = bodies[i] ?? { lead: "", rest: "" };
  if (addition.test(lead) || addition.test(rest) || saidAgain.test(rest)) {
    return "adds to the one before";
  }
  if (i > from && mentionsSiblings(unmarked(items[i]?.text ?? ""), [lead, rest])) {
    return "refers to another part";
  }
  if (pronoun.test(lead) && startOf(lead) !== startOf(bodies[from]?.lead ?? "")) {
    return "opens with a pronoun";
  }
  const names = items.slice(from, i).some(({ title }) => mentions(rest, title, known));
  return names ? "names an earlier part" : undefined;
}

interface Body {
  /** The text without list marker, emphasis or ordinal. */
  lead: string;
  /** The text after the title. */
  rest: string;
}

function bodyOf(text: string, title: string, enumerated: boolean): Body {
  const plain = unmarked(text);
  const lead = enumerated ? plain.replace(ordinal, "") : plain;
  // The name of a text without a lead is its first words, which then belong to its first sentence.
  const separator = lead.startsWith(title)
    ? /^\s*[:.,–—|-][\s:.,–—|-]*/.exec(lead.slice(title.length))
    : null;
  const rest = separator ? lead.slice(title.length + separator[0].length) : lead;
  return { lead, rest };
}

const startOf = (text: string) => (/^[\p{L}']+/u.exec(text)?.[0] ?? "").toLowerCase();

const firstSentence = (text: string) => text.split(/[.!?](\s|$)/)[0] ?? "";

/** Whether a text names an earlier title that is new: two or more words, or a proper name. */
function mentions(text: string, title: string, known: string): boolean {
  const lower = title.toLowerCase();
  if (lower.length < 4 || known.includes(lower)) return false;
  if (title.includes(" ")) return text.toLowerCase().includes(lower);
  return new RegExp(`[a-z,] ${literal(title)}\\b`).test(text) && /^\p{Lu}/u.test(title);
}

const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** Names in code, and URLs. */
function codeNames(text: string): Set<string> {
  const names = new Set<string>();
  for (const [, code = ""] of text.matchAll(/`([^`\n]{3,60})`/g)) names.add(code);
  for (const [address] of text.matchAll(/\b(?:https?:\/\/|www\.)[^\s)"'>]+/g)) names.add(address);
  return names;
}
