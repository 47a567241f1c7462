// Splits an answer into numbered units, so that a model can name spans without copying text.
import { parseBlocks } from "../markdown.ts";

export interface Unit {
  start: number;
  end: number;
}

/** Longer lines are split into sentences. */
const maxLineCharacters = 240;

/** Lines, sentences of long lines, and whole code blocks and tables. They cover the text without gaps. */
export function unitsOf(text: string): Unit[] {
  const whole = parseBlocks(text).filter(({ type }) => type === "opaque" || type === "table");
  const starts = new Set([0]);
  for (const { index, 0: mark } of text.matchAll(/\n\s*/g))
    starts.add(lineStart(text, index + mark.length));
  for (const { index, 0: line } of text.matchAll(/[^\n]+/g)) {
    if (line.length <= maxLineCharacters) continue;
    for (const end of line.matchAll(/[.!?]["”’)]?\s+(?=["“(*]?[\p{Lu}\d])/gu)) {
      starts.add(index + end.index + end[0].length);
    }
  }
  const sorted = [...starts]
    .filter((at) => at < text.length && !whole.some(({ start, end }) => at > start && at < end))
    .sort((a, b) => a - b);
  return sorted.map((start, i) => ({ start, end: sorted[i + 1] ?? text.length }));
}

/** The start of the line, so that indentation belongs to its line. */
function lineStart(text: string, at: number): number {
  return text.lastIndexOf("\n", at - 1) + 1;
}
