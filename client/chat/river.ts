// An answer as lines of a terminal: the trunk, and between its runs the branches of each stage as columns.
import { stripVTControlCharacters, styleText } from "node:util";
import stringWidth from "string-width";
import wrapAnsi from "wrap-ansi";
import type { Branch, Part } from "../src/index.ts";

const gap = 2;
/** Columns are no narrower; more branches than fit stand below. */
const leastWidth = 20;

/** Text that moves no cursor and changes no colour, whatever a model wrote. */
export const plain = (text: string): string =>
  stripVTControlCharacters(text).replaceAll(/[\p{Cc}]/gu, (each) =>
    each === "\n" || each === "\t" ? each : "",
  );

const wrapped = (text: string, width: number): string[] =>
  wrapAnsi(plain(text).trim(), width, { hard: true }).split("\n");

function column({ title, text, closed }: Branch, width: number): string[] {
  const [shown, name] = [text.trim(), plain(title ?? "")];
  // A branch often begins with its title, as it stands in the answer.
  const heading = shown.startsWith(name) ? [] : wrapped(name, width - 2);
  const lines = [...heading.map((line) => styleText("bold", line)), ...wrapped(text, width - 2)];
  const [first = "", ...others] = lines;
  const mark = closed ? styleText("dim", "■") : styleText("green", "▶");
  return [`${mark} ${first}`, ...others.map((line) => `  ${line}`)];
}

function beside(columns: readonly string[][], width: number): string[] {
  const height = Math.max(...columns.map(({ length }) => length));
  return Array.from({ length: height }, (_, row) =>
    columns
      .map(({ [row]: line = "" }) => line + " ".repeat(Math.max(0, width - stringWidth(line))))
      .join(" ".repeat(gap))
      .trimEnd(),
  );
}

function stage(branches: readonly Branch[], width: number): string[] {
  const most = Math.max(1, Math.floor((width + gap) / (leastWidth + gap)));
  const rows = Math.ceil(branches.length / most);
  const each = Math.ceil(branches.length / rows);
  const columnWidth = Math.floor((width - gap * (each - 1)) / each);
  return Array.from({ length: rows }, (_, row) => {
    const shown = branches.slice(row * each, (row + 1) * each);
    return beside(
      shown.map((branch) => column(branch, columnWidth)),
      columnWidth,
    );
  }).flatMap((lines, row) => (row === 0 ? lines : ["", ...lines]));
}

/** @param width of the terminal, in columns */
export function riverOf(parts: readonly Part[], width: number): string {
  const blocks = parts.flatMap((part): string[][] => {
    if (part.kind === "serial") return part.text.trim() === "" ? [] : [wrapped(part.text, width)];
    const branches = part.branches.filter(({ void: no }) => !no);
    return branches.length > 0 ? [stage(branches, width)] : [];
  });
  return blocks.map((lines) => lines.join("\n")).join("\n\n");
}
