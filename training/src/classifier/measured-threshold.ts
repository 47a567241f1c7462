// The threshold of `auto` for a model, from its answers in both modes.
import { readRows } from "../pipeline/jsonl.ts";

/** One prompt, answered by a model that may branch and by the same model in serial mode. */
export interface MeasuredPrompt {
  prompt: string;
  branched: boolean;
  /** Steps, or time, per visible token, over serial mode's. */
  ratio: number;
}

export interface MeasuredThreshold {
  prompts: number;
  branched: number;
  /** Mean savings of answers that branched, and mean cost of those that did not. */
  gain: number;
  cost: number;
  /** From this probability on, what branching is expected to save is more than what it is expected to cost. */
  threshold: number;
}

/** What is saved, as a share of serial mode's: geometric means, because times of a busy machine differ by factors. */
export const savingOf = (ratios: readonly number[]): number =>
  1 -
  Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / Math.max(1, ratios.length));

/**
 * Where `probability × gain` is `(1 - probability) × cost`. A plan that comes to nothing may cost nothing: then it is 0, and `auto`
 * is always parallel. Where branching saves nothing it is 1.
 */
export function thresholdFrom(gain: number, cost: number): number {
  if (gain <= 0) return 1;
  return Math.max(0, cost) / (Math.max(0, cost) + gain);
}

export function measuredThreshold(measured: readonly MeasuredPrompt[]): MeasuredThreshold {
  const ratios = (which: boolean) =>
    measured.filter(({ branched }) => branched === which).map(({ ratio }) => ratio);
  const gain = savingOf(ratios(true));
  const cost = 0 - savingOf(ratios(false));
  const [prompts, branched] = [measured.length, ratios(true).length];
  return { prompts, branched, gain, cost, threshold: thresholdFrom(gain, cost) };
}

export const costs = ["steps", "ms"] as const;
/** What is counted: decode steps, which are the same on every machine, or time. */
export type Cost = (typeof costs)[number];

type Answer = Partial<Record<Cost | "visibleTokens" | "stages", unknown>>;

function perToken(cost: Cost, { visibleTokens, ...answer }: Answer): number | null {
  const { [cost]: total } = answer;
  if (typeof total !== "number" || typeof visibleTokens !== "number") return null;
  return total > 0 && visibleTokens > 0 ? total / visibleTokens : null;
}

const isMeasured = (cost: Cost, answer: Answer | undefined): answer is Answer =>
  typeof answer?.[cost] === "number";

/**
 * Reads pairs that `npm run evaluate -- --mode parallel --against-mode serial --out FILE` keeps. Pairs with an empty answer are
 * left out.
 * @throws Error naming the file and the line, if answers are not measured
 */
export async function readMeasured(file: string, cost: Cost): Promise<MeasuredPrompt[]> {
  const found: MeasuredPrompt[] = [];
  for await (const { row, line } of readRows(file)) {
    const { prompt } = row;
    const [model, against] = [row.model, row.against] as (Answer | undefined)[];
    if (typeof prompt !== "string" || !isMeasured(cost, model) || !isMeasured(cost, against)) {
      throw new Error(`${file}, line ${line}: it needs "prompt", and "${cost}" of two answers`);
    }
    const [ours, theirs] = [perToken(cost, model), perToken(cost, against)];
    if (ours === null || theirs === null) continue;
    const branched = Number(model.stages ?? 0) > 0;
    found.push({ prompt, branched, ratio: ours / theirs });
  }
  return found;
}
