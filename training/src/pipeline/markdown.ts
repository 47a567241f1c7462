// Parses an answer's block structure: lists, headings, code and so on. Inline markup stays in the text.
import MarkdownIt, { type Token } from "markdown-it";

/** Offsets are UTF-16 indices into the text. `end` is after the last line that isn't blank, without its line end. */
export interface Block {
  type: "heading" | "paragraph" | "list" | "item" | "table" | "row" | "quote" | "rule" | "opaque";
  start: number;
  end: number;
  /** A heading's level; a list item's number. */
  level: number;
  ordered: boolean;
  /** The blocks of lists, items and quotes; the rows of tables, without the head. */
  children: Block[];
}

const parser = new MarkdownIt("commonmark").enable("table");
parser.core.ruler.enableOnly(["normalize", "block"]);

const types: Record<string, Block["type"]> = {
  heading_open: "heading",
  paragraph_open: "paragraph",
  bullet_list_open: "list",
  ordered_list_open: "list",
  list_item_open: "item",
  table_open: "table",
  tr_open: "row",
  blockquote_open: "quote",
  hr: "rule",
  fence: "opaque",
  code_block: "opaque",
  html_block: "opaque",
};

export function parseBlocks(text: string): Block[] {
  const starts = lineStarts(text);
  const top: Block[] = [];
  const open: Block[][] = [top];
  let inHead = false;
  for (const token of parser.parse(text, {})) {
    if (token.type === "thead_open") inHead = true;
    else if (token.type === "thead_close") inHead = false;
    const type = types[token.type];
    if (type !== undefined) {
      const block = toBlock(token, type, text, starts);
      if (!inHead) open.at(-1)?.push(block);
      if (token.nesting === 1) open.push(block.children);
    } else if (token.nesting === -1 && types[token.type.replace("_close", "_open")]) open.pop();
  }
  return top.flatMap((block) => withoutEnding(block, text));
}

/**
 * Splits a paragraph off a list that it directly follows: "- a\n- b\nOverall, …". In Markdown the line
 * belongs to the last item. To a reader it is a paragraph, unless other items of the list wrap like that.
 */
function withoutEnding(block: Block, text: string): Block[] {
  if (block.type !== "list" || block.children.length < 2) return [block];
  const ends = block.children.map((item) => unindented(item, text));
  const at = ends.pop();
  if (at === undefined || ends.some((end) => end !== undefined)) return [block];
  if (!startsSentence(text, at) || lastLeaf(block).start >= at) return [block];
  const ending: Block = { ...block, type: "paragraph", start: at, ordered: false, children: [] };
  return [endedAt(block, text.slice(0, at).trimEnd().length), ending];
}

/** Where an item's first line without indentation starts, after the item's own first line. */
function unindented({ start, end }: Block, text: string): number | undefined {
  const at = text.slice(start, end).search(/(?<=[\r\n])[^\s]/);
  return at === -1 ? undefined : start + at;
}

/** Whether a sentence starts at `at`: a capital letter after the end of a sentence. */
function startsSentence(text: string, at: number): boolean {
  const before = text.slice(0, at).trimEnd().slice(-1);
  return /^[*_"“(]*\p{Lu}/u.test(text.slice(at, at + 8)) && /[.!?:;)"”*_]/.test(before);
}

const lastLeaf = (block: Block): Block => {
  const last = block.children.at(-1);
  return last ? lastLeaf(last) : block;
};

/** A block that ends at `end`, with its last descendants. */
function endedAt(block: Block, end: number): Block {
  const children = block.children.map((child, i, all) =>
    i === all.length - 1 ? endedAt(child, end) : child,
  );
  return { ...block, end, children };
}

function toBlock(token: Token, type: Block["type"], text: string, starts: number[]): Block {
  const [from, to] = token.map ?? [0, 0];
  const start = starts[from] ?? text.length;
  const end = text.slice(0, starts[to] ?? text.length).trimEnd().length;
  const level = type === "heading" ? Number(token.tag.slice(1)) : Number(token.info) || 0;
  const ordered = token.type === "ordered_list_open" || (type === "item" && /^\d/.test(token.info));
  return { type, start, end: Math.max(start, end), level, ordered, children: [] };
}

/** Offsets of lines as the parser counts them, and the end of the last line. */
function lineStarts(text: string): number[] {
  const starts = [0];
  for (const { index, 0: end } of text.matchAll(/\r\n?|\n/g)) starts.push(index + end.length);
  return starts;
}

const entities: Record<string, string> = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"' };

/** A line without its inline markup. */
export function plain(inline: string): string {
  return inline
    .replace(/!?\[([^[\]]*)\]\([^()]*\)/g, "$1")
    .replace(/\*\*|__|`|~~/g, "")
    .replace(/(?<![\w*])[*_](?=\S)|(?<=\S)[*_](?![\w*])/g, "")
    .replace(/<br\s*\/?>/g, " ")
    .replace(/&(amp|lt|gt|quot);/g, (entity) => entities[entity] ?? entity)
    .replace(/\\([\\`*_{}[\]()#+\-.!|])/g, "$1")
    .replace(/\s+/g, " ")
    .trim();
}
