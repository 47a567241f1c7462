import type {
  Heading,
  List,
  ListItem,
  Node,
  Paragraph,
  PhrasingContent,
  Root,
  RootContent,
} from "mdast";
import { dependence } from "./dependence.ts";

/** A run of neighbouring pieces of an answer that may be independent. Offsets are UTF-16. */
export interface Group {
  kind: "list" | "lead" | "section" | "sums";
  start: number;
  end: number;
  items: Item[];
  /** Groups inside this one, to try if this one is refused. */
  inner: Group[];
}

export interface Item {
  title: string;
  start: number;
  end: number;
}

/**
 * Candidate groups of an answer in document order, outermost first: sections under headings of
 * one depth, paragraphs with a bold lead, list items, lines of independent sums. Only top-level
 * structure counts, so nothing inside code, quotes or tables is ever cut.
 */
export function findGroups(root: Root, text: string): Group[] {
  return sections(root.children, text) ?? flat(root.children, text);
}

function flat(blocks: readonly RootContent[], text: string): Group[] {
  const groups: Group[] = [];
  for (let i = 0; i < blocks.length; i++) {
    const block = blocks[i] as RootContent;
    if (block.type === "list") {
      groups.push(list(block, text));
    } else if (isLead(block)) {
      const run = leadRun(blocks, i);
      if (run.starts.length > 1) {
        groups.push(lead(blocks, run, text));
        i = run.end - 1;
      }
    } else if (block.type === "paragraph") {
      const lines = sums(block, text);
      if (lines) groups.push(lines);
    }
  }
  return groups;
}

/** One run of sections of the shallowest depth that has at least two headings. */
function sections(blocks: readonly RootContent[], text: string): Group[] | undefined {
  const headings = blocks.filter((b): b is Heading => b.type === "heading");
  const depths = [...new Set(headings.map((h) => h.depth))].sort();
  const depth = depths.find((d) => headings.filter((h) => h.depth === d).length > 1);
  if (depth === undefined) return undefined;
  let starts = blocks.flatMap((b, i) => (b.type === "heading" && b.depth === depth ? [i] : []));
  const isClosing = (i: number) =>
    /^(in )?(conclusions?|summary|overall|final)/i.test(titleOf(blocks[i] as Heading));
  const isOpening = (i: number) =>
    /^(introduction|overview|background)\b/i.test(titleOf(blocks[i] as Heading));
  let end = blocks.length;
  while (starts.length > 0 && isClosing(starts[starts.length - 1] as number)) {
    end = starts.pop() as number;
  }
  while (starts.length > 0 && isOpening(starts[0] as number)) starts = starts.slice(1);
  if (starts.length < 2) return undefined;
  const last = starts[starts.length - 1] as number;
  end = closingBlock(blocks, last + 2, end);
  // A shallower heading after the sections begins something else.
  const shallower = blocks.findIndex(
    (b, i) => i > (starts[0] as number) && b.type === "heading" && b.depth < depth,
  );
  if (shallower !== -1 && shallower < end) return undefined;
  const inner = flat(blocks, text);
  const group = build("section", text, blocks, starts, end, (b) => titleOf(b as Heading), inner);
  const before = flat(blocks.slice(0, starts[0]), text);
  const after = flat(blocks.slice(end), text);
  return [...before, group, ...after];
}

/** Where the last section gives way to a paragraph or rule that closes the whole answer. */
function closingBlock(blocks: readonly RootContent[], from: number, end: number): number {
  for (let i = from; i < end; i++) {
    const block = blocks[i] as RootContent;
    if (block.type === "thematicBreak" && i >= end - 3) return i;
    if (block.type === "paragraph" && i === end - 1 && closes(textOf(block))) return i;
  }
  // One plain paragraph after another in the last section: the answer's own ending.
  const tail = blocks[end - 1];
  const previous = blocks[end - 2];
  const plain = tail?.type === "paragraph" && !isLead(tail) && previous?.type === "paragraph";
  return plain && from < end ? end - 1 : end;
}

function closes(text: string): boolean {
  return /^(in (conclusion|summary|short|general|the end|any case)|overall|to (sum up|summari[sz]e|conclude)|ultimately|all in all|remember|so\b|these|together|of these|by (following|doing))/i.test(
    text,
  );
}

interface Run {
  starts: number[];
  end: number;
}

/** Bold-lead paragraphs and what hangs on each, up to the last lead's own lists and code. */
function leadRun(blocks: readonly RootContent[], from: number): Run {
  const starts = [from];
  let i = from + 1;
  let end = i;
  for (; i < blocks.length; i++) {
    const block = blocks[i] as RootContent;
    if (isLead(block)) {
      starts.push(i);
      end = i + 1;
    } else if (block.type === "list" || block.type === "code" || block.type === "blockquote") {
      if (end === i) end = i + 1;
    } else if (block.type !== "paragraph") {
      break;
    }
  }
  return { starts, end };
}

function lead(blocks: readonly RootContent[], run: Run, text: string): Group {
  const inner = blocks
    .slice(run.starts[0], run.end)
    .flatMap((b) => (b.type === "list" ? [list(b, text)] : []));
  return build("lead", text, blocks, run.starts, run.end, (b) => titleOf(b as Paragraph), inner);
}

function list(node: List, text: string): Group {
  const items = node.children;
  const starts = items.map((_, i) => i);
  return build("list", text, items, starts, items.length, (b) => itemTitle(b as ListItem), []);
}

const sumLine = /^[^\n=]*\d[\d\s.,+\-*/×÷x()$€£]*=\s*[$€£]?\d[\d.,]*[^\n=]*$/;

/** The first lines of a paragraph, as long as each works out a sum of its own. */
function sums(node: Paragraph, text: string): Group | undefined {
  const start = offset(node, "start");
  const items: (Item & { text: string })[] = [];
  let at = start;
  for (const line of text.slice(start, offset(node, "end")).split("\n")) {
    const title = clean(line.split(/[=:]/)[0] ?? "");
    const item = { title, text: line, start: at, end: Math.min(at + line.length + 1, text.length) };
    if (!sumLine.test(line) || dependence([...items, item]) !== undefined) break;
    items.push(item);
    at = item.end;
  }
  if (items.length < 2) return undefined;
  return { kind: "sums", start, end: at, items, inner: [] };
}

/**
 * Items from one start to the next. The last one also takes the same gap that parts the others,
 * so that every body ends alike and a branch needn't know whether it is the last.
 */
function build(
  kind: Group["kind"],
  text: string,
  blocks: readonly Node[],
  starts: readonly number[],
  end: number,
  title: (block: Node) => string,
  inner: Group[],
): Group {
  // A marker's indentation belongs to its item.
  const from = starts.map((i) => lineStart(text, offset(blocks[i] as Node, "start")));
  const contentEnd = offset(blocks[end - 1] as Node, "end");
  const beforeSecond = starts[1] === undefined ? undefined : blocks[starts[1] - 1];
  const gap =
    beforeSecond === undefined ? "" : text.slice(offset(beforeSecond, "end"), from[1] as number);
  let stop = contentEnd;
  for (let i = 0; i < gap.length && text[stop] === gap[i]; i++) stop++;
  return {
    kind,
    start: from[0] as number,
    end: stop,
    items: starts.map((block, i) => ({
      title: title(blocks[block] as Node),
      start: from[i] as number,
      end: from[i + 1] ?? stop,
    })),
    inner,
  };
}

function lineStart(text: string, at: number): number {
  let start = at;
  while (start > 0 && (text[start - 1] === " " || text[start - 1] === "\t")) start--;
  return start === 0 || text[start - 1] === "\n" ? start : at;
}

function offset(node: Node, side: "start" | "end"): number {
  const value = node.position?.[side].offset;
  if (value === undefined) throw new Error(`a ${node.type} without a position`);
  return value;
}

function isLead(block: Node): boolean {
  return block.type === "paragraph" && (block as Paragraph).children[0]?.type === "strong";
}

/** Bold lead, else what stands before a colon, else the first words. */
function itemTitle(item: ListItem): string {
  const first = item.children[0];
  if (first?.type === "paragraph" || first?.type === "heading") return titleOf(first);
  return "";
}

function titleOf(block: Paragraph | Heading): string {
  if (block.type === "heading") return clean(textOf(block));
  const first = block.children[0];
  if (first?.type === "strong") return clean(textOf(first));
  const [line = ""] = textOf(block).split("\n");
  const colon = line.search(/:(\s|$)| [-–—] /);
  if (colon > 0 && colon <= 48) return clean(line.slice(0, colon));
  return clean(line.split(/\s+/).slice(0, 4).join(" "));
}

function clean(title: string): string {
  return title
    .replace(/\s+/g, " ")
    .replace(/^\d+[.)]\s*/, "")
    .trim()
    .replace(/[\s:.,;!–—-]+$/, "");
}

function textOf(node: Paragraph | Heading | PhrasingContent): string {
  if ("value" in node) return node.value;
  if ("children" in node) return node.children.map((child) => textOf(child)).join("");
  return node.type === "break" ? "\n" : "";
}
