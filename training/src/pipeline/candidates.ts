// Finds runs of neighbouring blocks of an answer that may be independent, at every level of its structure.

import { type Named, named } from "./item-names.ts";
import type { Block } from "./markdown.ts";

export type Kind = "list" | "section" | "lead" | "table" | "comparison" | "enumeration" | "sums";

/** Offsets are UTF-16; the items candidateFrom [start, end) without gaps. */
export interface Candidate {
  kind: Kind | "model";
  /** Where the structure begins, including introductory items that were taken off its start. */
  structureStart: number;
  start: number;
  end: number;
  items: Item[];
  ordered: boolean;
}

export interface Item extends Named {
  start: number;
  end: number;
}

/** Titles of items that close or open an answer and are not parts like the others. */
const closing =
  /^(in )?(conclusions?|summary|essence|short|brief|overall|final\b|closing (remarks|thoughts|words|statement)|bottom line|takeaways?|key takeaways?|references|sources|disclaimer|notes?\b|important|total|sum\b|verdict|recommendations?$|result$|answer$|explanation|example usage|usage|next steps|wrap)/i;
const opening =
  /^(introduction|intro\b|overview|background|definitions?|prerequisites?|preface|abstract|problem|given|assumptions|objective|setup|set up|basics|title|subject)\b/i;
const closingParagraph =
  /^(in (conclusion|summary|essence|short|brief|general|the end|any case)|overall|to (sum up|summari[sz]e|conclude)|ultimately|all in all|remember|so\b|these|together|of these|by (following|doing)|note|please|i hope|hope|let me know)/i;

export function findBlockCandidates(
  blocks: readonly Block[],
  text: string,
  prompt: string,
): Candidate[] {
  const out: Candidate[] = [];
  visit(blocks, text, prompt, out);
  return out;
}

function visit(blocks: readonly Block[], text: string, prompt: string, out: Candidate[]): void {
  const sections = sectionRun(blocks, text);
  if (sections) {
    addCandidate(out, "section", blocks, sections, text);
    visit(blocks.slice(0, sections.starts[0]), text, prompt, out);
    sections.starts.forEach((start, i) => {
      visit(blocks.slice(start + 1, sections.starts[i + 1] ?? sections.end), text, prompt, out);
    });
    visit(blocks.slice(sections.end), text, prompt, out);
    return;
  }
  for (const run of leadRuns(blocks, text)) addCandidate(out, "lead", blocks, run, text);
  for (const run of brokenLists(blocks)) addCandidate(out, "list", blocks, run, text);
  for (const run of comparisons(blocks, text, prompt)) {
    addCandidate(out, "comparison", blocks, run, text);
  }
  for (const run of ordinalParagraphs(blocks, text))
    addCandidate(out, "enumeration", blocks, run, text);
  for (const block of blocks) {
    if (block.type === "list" && block.children.length > 1) {
      const starts = block.children.map((_, i) => i);
      const end = trimEnds(starts, starts.length, (i) => titleOf(block.children[i], text));
      if (starts.length > 1) {
        addCandidate(out, "list", block.children, { starts, end, first: 0 }, text, block.ordered);
      }
    }
    if (block.type === "table" && block.children.length > 1) table(out, block, text);
    if (block.type === "list") {
      for (const item of block.children) visit(ownLines(item, text), text, prompt, out);
    }
  }
}

/** An item's children, without a list that begins on the item's own line and can't be cut from it. */
function ownLines(item: Block, text: string): Block[] {
  const firstLineEnd = text.slice(item.start).search(/[\r\n]/);
  return firstLineEnd === -1
    ? []
    : item.children.filter((child) => child.start > item.start + firstLineEnd);
}

/** Neighbouring parts as indices into a list of blocks: where each starts, and the index after the last. */
interface BlockRun {
  starts: number[];
  end: number;
  /** Where the first started before opening parts were taken off; absent if none were. */
  first?: number;
}

/** The sections of the shallowest depth that has at least two headings. */
function sectionRun(blocks: readonly Block[], text: string): BlockRun | undefined {
  const headings = blocks.filter((block) => block.type === "heading");
  const depths = [...new Set(headings.map(({ level }) => level))].sort();
  const depth = depths.find((d) => headings.filter(({ level }) => level === d).length > 1);
  if (depth === undefined) return undefined;
  const starts = blocks.flatMap(({ type, level }, i) =>
    type === "heading" && level === depth ? [i] : [],
  );
  const [first = 0] = starts;
  const end = trimEnds(starts, blocks.length, (i) => titleOf(blocks[i], text));
  if (starts.length < 2) return undefined;
  // A shallower heading among the sections means that they are not one structure.
  const shallower = blocks.findIndex(
    ({ type, level }, i) => i > first && type === "heading" && level < depth,
  );
  if (shallower !== -1 && shallower < end) return undefined;
  const last = starts.at(-1) ?? 0;
  return { starts, end: closingBlock(blocks, text, last + 2, end), first };
}

/** Removes opening and closing parts from a run. Returns where its last part ends. */
function trimEnds(starts: number[], end: number, title: (index: number) => string): number {
  let stop = end;
  while (starts.length > 0 && closing.test(title(starts.at(-1) ?? 0))) stop = starts.pop() ?? stop;
  while (starts.length > 0 && opening.test(title(starts[0] ?? 0))) starts.shift();
  return stop;
}

/** Where the last section ends, before a paragraph or rule that closes the whole answer. */
function closingBlock(blocks: readonly Block[], text: string, from: number, end: number): number {
  for (let i = from; i < end; i++) {
    const block = blocks[i];
    if (block?.type === "rule" && i >= end - 3) return i;
    if (block?.type === "paragraph" && i === end - 1) {
      if (closingParagraph.test(text.slice(block.start, block.end))) return i;
    }
  }
  // A plain paragraph after another in the last section is the ending of the whole answer.
  const [tail, previous] = [blocks[end - 1], blocks[end - 2]];
  const plain = tail?.type === "paragraph" && !isLead(tail, text) && previous?.type === "paragraph";
  return plain && from < end ? end - 1 : end;
}

function isLead(block: Block | undefined, text: string): boolean {
  return (
    block?.type === "paragraph" && /^(\*\*|__)\S/.test(text.slice(block.start, block.start + 3))
  );
}

/** Starts of lines that introduce what follows instead of naming it. */
const introduces =
  /^(here|now|let|to |in this|this|these|that|the following|for example|examples?\b|note|first|then|next|finally|so |if |when |however|you |we |i |and |but |output|result|where)/i;

/** A short line that names what follows: all bold, or ending in a colon. */
function isLabel(block: Block | undefined, text: string): boolean {
  if (block?.type !== "paragraph") return false;
  const source = text.slice(block.start, block.end);
  if (source.includes("\n") || source.length > 80 || introduces.test(source)) return false;
  return /^(\*\*|__)[^*_]+(\*\*|__):?$/.test(source) || /^[\p{Lu}\d][^.!?]{2,60}:$/u.test(source);
}

/**
 * Paragraphs that start in bold or are labels, each with the blocks that belong to it: lists and code,
 * and the first block under a label.
 */
function leadRuns(blocks: readonly Block[], text: string): BlockRun[] {
  const runs: BlockRun[] = [];
  for (const test of [isLead, isLabel]) {
    for (let i = 0; i < blocks.length; i++) {
      if (!test(blocks[i], text)) continue;
      const run: BlockRun = { ...leadRun(blocks, text, i, test), first: i };
      i = run.end - 1;
      run.end = trimEnds(run.starts, run.end, (at) => titleOf(blocks[at], text));
      const labelled = run.starts.every(
        (at, n) => !isLabel(blocks[at], text) || (run.starts[n + 1] ?? run.end) > at + 1,
      );
      if (run.starts.length > 1 && labelled) runs.push(run);
    }
  }
  return runs;
}

function leadRun(
  blocks: readonly Block[],
  text: string,
  from: number,
  test: (block: Block | undefined, text: string) => boolean,
): BlockRun {
  const starts: number[] = [];
  let end = from;
  for (let i = from; i < blocks.length; i++) {
    const block = blocks[i];
    if (test(block, text)) {
      starts.push(i);
      end = i + 1;
      if (isLabel(block, text) && i + 1 < blocks.length && !test(blocks[i + 1], text)) {
        i++;
        end = i + 1;
      }
    } else if (block?.type === "list" || block?.type === "opaque" || block?.type === "quote") {
      if (end === i) end = i + 1;
    } else if (block?.type !== "paragraph") {
      break;
    }
  }
  return { starts, end };
}

/** "1. a", a paragraph, "2. b": one list to a reader, but several lists in Markdown. */
function brokenLists(blocks: readonly Block[]): BlockRun[] {
  const runs: BlockRun[] = [];
  const number = (block: Block | undefined) =>
    block?.type === "list" && block.ordered && block.children.length === 1
      ? (block.children[0]?.level ?? 0)
      : undefined;
  for (let i = 0; i < blocks.length; i++) {
    const first = number(blocks[i]);
    if (first === undefined) continue;
    const starts = [i];
    let end = i + 1;
    for (let j = i + 1; j < blocks.length; j++) {
      const block = blocks[j];
      if (block?.type === "heading") break;
      const next = number(block);
      if (next !== undefined && next !== first + starts.length) break;
      if (next !== undefined) {
        starts.push(j);
        end = j + 1;
      } else if (block?.type === "list" && !block.ordered && end === j) end = j + 1;
      else if (block?.type === "opaque" && end === j) end = j + 1;
    }
    if (starts.length > 1) {
      runs.push({ starts, end });
      i = end - 1;
    }
  }
  return runs;
}

const subject =
  /^((?:The |A |An )?[\p{Lu}\d][\p{L}\d'’.+#-]*(?: (?!is |are |was |were |has |have )[\p{L}\d'’&/+#-]+){0,4}?)(?: \([^)]{1,60}\))?,? (?:also known as [^,.]{1,40}, )?(?:is|are|was|were|has|have|refers?|means|involves?|focus(?:es)?|tends?|offers?|uses?|includes?|provides?|consists?|represents?|describes?|allows?|works?)\b/u;
const noSubject =
  /^(it|this|that|these|those|they|he|she|we|you|i|there|here|what|which|one|another|other|some|both|each|all|most|many|however|finally|overall)\b/i;

/** What a paragraph is about, if it says so at its start. */
function subjectOf(block: Block | undefined, text: string): string | undefined {
  if (block?.type !== "paragraph") return undefined;
  const name = subject.exec(text.slice(block.start, Math.min(block.end, block.start + 160)))?.[1];
  return name === undefined || noSubject.test(name) ? undefined : name;
}

/** Neighbouring paragraphs on different subjects that the prompt or earlier text names together. */
function comparisons(blocks: readonly Block[], text: string, prompt: string): BlockRun[] {
  return paragraphRuns(blocks, (block) => subjectOf(block, text) !== undefined).filter(
    ({ starts }) => {
      const subjects = starts.map((i) => subjectOf(blocks[i], text) ?? "");
      return areNamedTogether(
        subjects,
        `${prompt}\n${text.slice(0, blocks[starts[0] ?? 0]?.start)}`,
      );
    },
  );
}

/** Whether one sentence joins the first words of all subjects: "a and b", "a vs. b", "a, b". */
function areNamedTogether(subjects: readonly string[], before: string): boolean {
  const words = subjects.map((name) => firstWord(name));
  const heads = subjects.map((name) => name.toLowerCase().split(" ").at(-1) ?? "");
  // "The declaration" after "The Balfour Declaration" is one subject.
  if (words.some((word, i) => heads.some((head, j) => i !== j && word === head))) return false;
  if (words.includes("") || new Set(words).size < words.length) return false;
  return before.split(/[.!?\n]/).some((sentence) => {
    const lower = sentence.toLowerCase();
    const places = words.map((word) =>
      lower.search(new RegExp(`(?<![\\p{L}\\d])${literal(word)}`, "u")),
    );
    if (places.includes(-1)) return false;
    const between = lower.slice(Math.min(...places), Math.max(...places));
    return /,|\b(and|or|vs|versus|from|than|with)\b/.test(between);
  });
}

const firstWord = (name: string) =>
  (
    name
      .toLowerCase()
      .replace(/^(the|a|an) /, "")
      .split(" ")[0] ?? ""
  ).replace(/['’]s$/, "");

const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

const ordinals = [
  /^(first(ly)?( of all)?|to (start|begin) with|one (reason|way|factor|benefit|advantage))\b/i,
  /^(second(ly)?|another (reason|way|factor|benefit|advantage))\b/i,
  /^(third(ly)?|another (reason|way|factor|benefit|advantage))\b/i,
  /^(fourth(ly)?|another (reason|way|factor|benefit|advantage))\b/i,
  /^fifth(ly)?\b/i,
];
const lastOrdinal = /^(finally|lastly|last but not least)\b/i;

function ordinalParagraphs(blocks: readonly Block[], text: string): BlockRun[] {
  let count = 0;
  return paragraphRuns(blocks, ({ start, end }) => {
    const source = text.slice(start, Math.min(end, start + 40));
    const next = ordinals[count]?.test(source) || (count > 1 && lastOrdinal.test(source));
    count = next ? count + 1 : 0;
    return next;
  });
}

function paragraphRuns(blocks: readonly Block[], test: (block: Block) => boolean): BlockRun[] {
  const runs: BlockRun[] = [];
  let starts: number[] = [];
  const close = (end: number) => {
    if (starts.length > 1) runs.push({ starts, end });
    starts = [];
  };
  blocks.forEach((block, i) => {
    if (block.type === "paragraph" && test(block)) starts.push(i);
    else close(i);
  });
  close(blocks.length);
  return runs;
}

function table(out: Candidate[], block: Block, text: string): void {
  const rows = block.children;
  const starts = rows.map((_, i) => i);
  const title = (i: number) => cellTitle(text.slice(rows[i]?.start, rows[i]?.end)).lead ?? "";
  const end = trimEnds(starts, rows.length, title);
  if (starts.length > 1) addCandidate(out, "table", rows, { starts, end, first: 0 }, text);
}

/** The first cell with a word in it. */
function cellTitle(row: string): Named {
  const cells = row.split("|").map((cell) => cell.trim());
  const cell = cells.find((text) => /\p{L}/u.test(text)) ?? "";
  const { text } = named(cell);
  return { lead: named(cell).lead ?? text, text };
}

function titleOf(block: Block | undefined, text: string): string {
  if (block === undefined) return "";
  const { lead, text: words } = named(text.slice(block.start, block.end));
  return (lead ?? words).replace(/^\W+/, "").replace(/^(?:[IVX]+|\d+|[A-Z])[.)]\s+/, "");
}

/** Adds a candidate whose items start at the parts of a run. */
function addCandidate(
  out: Candidate[],
  kind: Kind,
  blocks: readonly Block[],
  { starts, end, first = starts[0] ?? 0 }: BlockRun,
  text: string,
  ordered = kind === "list",
): void {
  const from = starts.map((i) => lineStart(text, blocks[i]?.start ?? 0));
  const structureStart = blocks[first]?.start ?? 0;
  out.push({
    ...candidateFrom(kind, text, from, blocks[end - 1]?.end ?? 0, ordered),
    structureStart,
  });
}

const namers: Partial<Record<Candidate["kind"], (source: string) => Named>> = {
  table: cellTitle,
  comparison: (source) => {
    const lead = subject.exec(source)?.[1];
    return lead === undefined ? named(source) : { lead, text: source };
  },
};

/**
 * A candidate whose items start at the given offsets, each ending where the next one starts. The last one
 * also takes the white space that separates the others, so that all bodies end alike and a branch does
 * not need to know whether it is the last.
 */
export function candidateFrom(
  kind: Candidate["kind"],
  text: string,
  from: readonly number[],
  contentEnd: number,
  ordered: boolean,
  name: (source: string) => Named = namers[kind] ?? named,
): Candidate {
  const second = from[1] ?? contentEnd;
  const gap = text.slice(text.slice(0, second).trimEnd().length, second);
  let end = contentEnd;
  for (let i = 0; i < gap.length && text[end] === gap[i]; i++) end++;
  const items = from.map((start, i) => {
    const stop = from[i + 1] ?? end;
    return { ...name(text.slice(start, stop)), start, end: stop };
  });
  const start = from[0] ?? end;
  return { kind, structureStart: start, start, end, items, ordered };
}

/** A marker's indentation belongs to its item. */
function lineStart(text: string, at: number): number {
  let start = at;
  while (start > 0 && (text[start - 1] === " " || text[start - 1] === "\t")) start--;
  return start === 0 || text[start - 1] === "\n" || text[start - 1] === "\r" ? start : at;
}
