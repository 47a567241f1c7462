// An answer's block structure. Markdown says what is a list, a section or code; inline markup is
// left in the text.
import MarkdownIt, { type Token } from "markdown-it";

/** Offsets are UTF-16 into the text. `end` is behind the last line that isn't blank, line end excluded. */
export interface Block {
  type: "heading" | "paragraph" | "list" | "item" | "table" | "row" | "quote" | "rule" | "opaque";
  start: number;
  end: number;
  /** A heading's level; a list item's number. */
  level: number;
  ordered: boolean;
  /** Of lists, items and quotes their blocks, of tables the rows below the head. */
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
 * "- a\n- b\nOverall, …": Markdown takes a line right below a list for the rest of its last item; a
 * reader takes it for a paragraph, unless the list wraps its lines like that.
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

/** Where an item's first line without indentation starts, its own first line aside. */
function unindented({ start, end }: Block, text: string): number | undefined {
  const at = text.slice(start, end).search(/(?<=[\r\n])[^\s]/);
  return at === -1 ? undefined : start + at;
}

/** A capital letter behind a sentence's end. */
function startsSentence(text: string, at: number): boolean {
  const before = text.slice(0, at).trimEnd().slice(-1);
  return /^[*_"“(]*\p{Lu}/u.test(text.slice(at, at + 8)) && /[.!?:;)"”*_]/.test(before);
}

const lastLeaf = (block: Block): Block => {
  const last = block.children.at(-1);
  return last ? lastLeaf(last) : block;
};

/** A block and all its last descendants, cut off. */
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

/** Lines as the parser counts them; one more offset closes the last line. */
function lineStarts(text: string): number[] {
  const starts = [0];
  for (const { index, 0: end } of text.matchAll(/\r\n?|\n/g)) starts.push(index + end.length);
  return starts;
}

const entities: Record<string, string> = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"' };

/** A line without its inline markup, as a reader sees it. */
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
