// Where branching did harm: the pairs whose answer of `model` is worst beside that of `against`, and why.
import type { Judged, MeasureName } from "./judge.ts";
import type { Pair } from "./pairs.ts";

export interface Worst {
  pair: Pair;
  /** What is worse, in words; the worst first. */
  reasons: string[];
}

const worstShown = 10;

/** Shares of an answer that are better small, as the reader knows them. */
const harms: readonly [measure: MeasureName, words: string][] = [
  ["cut_off", "cut off"],
  ["repeated_sentences", "repeated sentences"],
  ["repeated_items", "repeated items"],
];

const percent = (share: number): string => `${(100 * share).toFixed(0)}%`;

/** What is worse of a pair, each with how much: a share, or the steps that a visible token takes more. */
function worse({ measures: { model, against } }: Judged): [by: number, reason: string][] {
  const found = harms.flatMap(([measure, words]): [number, string][] => {
    const [ours, theirs] = [model[measure][0], against[measure][0]];
    if (ours === undefined || theirs === undefined || ours <= theirs) return [];
    return [[ours - theirs, `${words}: ${percent(ours)}, against ${percent(theirs)}`]];
  });
  const [ours, theirs] = [model.tokens_per_step[0], against.tokens_per_step[0]];
  if (ours !== undefined && theirs !== undefined && ours < theirs) {
    found.push([1 - ours / theirs, `${percent(theirs / ours - 1)} more steps a visible token`]);
  }
  return found.sort(([a], [b]) => b - a);
}

/** Of the answers of `model` that branched, those that are worse than `against`'s, the worst first. */
export function worstOf(judged: readonly Judged[]): Worst[] {
  return judged
    .filter(({ measures }) => measures.model.coverage[0] === 1)
    .map((each) => ({ pair: each.pair, found: worse(each) }))
    .filter(({ found }) => found.length > 0)
    .map(({ pair, found }) => ({
      pair,
      by: found.reduce((sum, [by]) => sum + by, 0),
      reasons: found.map(([, reason]) => reason),
    }))
    .sort((a, b) => b.by - a.by)
    .slice(0, worstShown)
    .map(({ pair, reasons }) => ({ pair, reasons }));
}
