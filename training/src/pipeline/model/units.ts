// An answer in numbered units, so that a model can name spans without writing text.
import { parseBlocks } from "../markdown.ts";

export interface Unit {
  start: number;
  end: number;
}

/** Lines longer than this are cut into sentences. */
const longLine = 240;

/** Units cover the text without gaps: lines, sentences of long lines, code and tables as a whole. */
export function unitsOf(text: string): Unit[] {
  const whole = parseBlocks(text).filter(({ type }) => type === "opaque" || type === "table");
  const starts = new Set([0]);
  for (const { index, 0: mark } of text.matchAll(/\n\s*/g))
    starts.add(lineStart(text, index + mark.length));
  for (const { index, 0: line } of text.matchAll(/[^\n]+/g)) {
    if (line.length <= longLine) continue;
    for (const end of line.matchAll(/[.!?]["”’)]?\s+(?=["“(*]?[\p{Lu}\d])/gu)) {
      starts.add(index + end.index + end[0].length);
    }
  }
  const sorted = [...starts]
    .filter((at) => at < text.length && !whole.some(({ start, end }) => at > start && at < end))
    .sort((a, b) => a - b);
  return sorted.map((start, i) => ({ start, end: sorted[i + 1] ?? text.length }));
}

/** Indentation belongs to its line. */
function lineStart(text: string, at: number): number {
  return text.lastIndexOf("\n", at - 1) + 1;
}
