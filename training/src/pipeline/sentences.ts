// Finds candidates inside paragraphs: enumerating sentences, and lines with a calculation each.
import { type Candidate, candidateFrom } from "./candidates.ts";
import { areUnique, type Named, named } from "./item-names.ts";
import type { Block } from "./markdown.ts";
import { numbersIn, type Sum, sumOf, withoutNotes } from "./numbers.ts";

const ordinals = [/^first(ly)?,? /i, /^second(ly)?,? /i, /^third(ly)?,? /i, /^fourth(ly)?,? /i];
const last = /^(finally|lastly),? /i;

/** `given` is the prompt, whose numbers calculations may use. */
export function findSentenceCandidates(
  blocks: readonly Block[],
  text: string,
  given: string,
): Candidate[] {
  return blocks.flatMap((block) => {
    if (block.type !== "paragraph") return [];
    const sentences = ordinalSentences(block, text);
    return sentences ? [sentences] : sumLines(block, text, given);
  });
}

/** "First, … Second, … Third, …" in one paragraph; the last item is one sentence. */
function ordinalSentences(block: Block, text: string): Candidate | undefined {
  const source = text.slice(block.start, block.end);
  if (!/\bfirst/i.test(source) || !/\bsecond/i.test(source)) return undefined;
  const from: number[] = [];
  let end = block.end;
  for (const [start, stop] of sentencesOf(source)) {
    const sentence = source.slice(start, start + 30);
    if (ordinals[from.length]?.test(sentence) || (from.length > 1 && last.test(sentence))) {
      from.push(block.start + start);
      end = block.start + stop;
    }
  }
  return from.length > 1 ? candidateFrom("enumeration", text, from, end, true) : undefined;
}

/** [start, end) of each sentence. */
function sentencesOf(source: string): [number, number][] {
  const out: [number, number][] = [];
  let start = 0;
  for (const { index, 0: mark } of source.matchAll(/[.!?]["”’)]?\s+(?=["“(]?[\p{Lu}\d])/gu)) {
    out.push([start, index + mark.trimEnd().length]);
    start = index + mark.length;
  }
  out.push([start, source.length]);
  return out;
}

interface Line {
  start: number;
  end: number;
  sum: Sum | undefined;
}

/**
 * Runs of lines with a calculation each. A calculation uses only what was known before the run, not the
 * result of another line, and every result is used after the run.
 */
function sumLines(block: Block, text: string, given: string): Candidate[] {
  const lines: Line[] = [];
  let at = block.start;
  for (const line of text.slice(block.start, block.end).split("\n")) {
    lines.push({ start: at, end: at + line.length, sum: sumOf(line) });
    at += line.length + 1;
  }
  const out: Candidate[] = [];
  if (lines.filter(({ sum }) => sum).length < 2) return out;
  for (let i = 0; i < lines.length; i++) {
    if (!lines[i]?.sum) continue;
    const before = text.slice(0, lines[i]?.start);
    const known = given === "" ? undefined : new Set(numbersIn(`${given} ${before}`));
    let end = i;
    while (end < lines.length && standsAlone(lines.slice(i, end), lines[end], text, known)) end++;
    while (end - i > 1 && !areUsed(lines.slice(i, end), text)) end--;
    if (end - i < 2) continue;
    const run = lines.slice(i, end);
    const starts = run.map(({ start }) => start);
    const sums = candidateFrom("sums", text, starts, run.at(-1)?.end ?? 0, false, sumName);
    const distinct = areUnique(sums.items.map(({ lead, text }) => lead ?? text));
    const items = sums.items.map(({ lead, ...item }) => ({
      ...item,
      ...(distinct && lead ? { lead } : {}),
    }));
    out.push({ ...sums, items });
    i = end - 1;
  }
  return out;
}

/** Numbers of everyday units (hours, weeks, percent), and of words like "half" or "a dozen". */
const everyday = new Set([7, 12, 24, 30, 52, 60, 100, 365, 1000].map(String));

function standsAlone(
  run: readonly Line[],
  line: Line | undefined,
  text: string,
  known: ReadonlySet<string> | undefined,
): boolean {
  if (!line?.sum) return false;
  const said = new Set(numbersIn(withoutNotes(text.slice(line.start, line.end))));
  if (run.some(({ sum }) => sum && said.has(sum.result))) return false;
  return line.sum.operands.every(
    (operand) => !known || known.has(operand) || everyday.has(operand) || Number(operand) <= 10,
  );
}

function areUsed(run: readonly Line[], text: string): boolean {
  const later = new Set(numbersIn(text.slice(run.at(-1)?.end)));
  return run.every(({ sum }) => sum && later.has(sum.result));
}

/** A name for a calculation: the words before its first number, or else the line without its numbers. */
function sumName(line: string): Named {
  const text = named(withoutNotes(line).replace(calculation, " ")).text;
  const words = named(line)
    .text.match(/^[^\d$€£=:(]+/)?.[0]
    .replace(verbAtEnd, "")
    .trim();
  return words && words.split(" ").length <= maxLeadWords ? { lead: words, text } : { text };
}

const calculation = /[$€£]?\.?\d[\d,.]*%?|[=+*×÷/]|(?<=\s)[-–x](?=\s)/g;
const verbAtEnd =
  /\s+(has|have|had|is|are|was|were|will be|costs?|gets?|earns?|makes?|spends?|for|of|a|the)?\s*$/i;
const maxLeadWords = 6;
