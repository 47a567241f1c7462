// The threshold of `auto` for a model, from its answers in both modes.
import { readRows } from "../pipeline/jsonl.ts";

/** One prompt, answered by a model that may branch and by the same model in serial mode. */
export interface MeasuredPrompt {
  prompt: string;
  branched: boolean;
  /** Steps per visible token that branching saved, as a share of serial mode's; less than 0 where it cost some. */
  saving: number;
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

const meanOf = (values: readonly number[]) =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * Where `probability × gain` is `(1 - probability) × cost`. A plan that comes to nothing may cost nothing: then it is 0, and `auto`
 * is always parallel. Where branching saves nothing it is 1.
 */
export function thresholdFrom(gain: number, cost: number): number {
  if (gain <= 0) return 1;
  return Math.max(0, cost) / (Math.max(0, cost) + gain);
}

export function measuredThreshold(measured: readonly MeasuredPrompt[]): MeasuredThreshold {
  const savings = (which: boolean) =>
    measured.filter(({ branched }) => branched === which).map(({ saving }) => saving);
  const gain = meanOf(savings(true));
  const cost = 0 - meanOf(savings(false));
  const [prompts, branched] = [measured.length, savings(true).length];
  return { prompts, branched, gain, cost, threshold: thresholdFrom(gain, cost) };
}

interface Answer {
  steps?: unknown;
  visibleTokens?: unknown;
  stages?: unknown;
}

function perToken({ steps, visibleTokens }: Answer): number | null {
  if (typeof steps !== "number" || typeof visibleTokens !== "number") return null;
  return steps > 0 && visibleTokens > 0 ? steps / visibleTokens : null;
}

const hasSteps = (answer: Answer | undefined): answer is Answer =>
  typeof answer?.steps === "number";

/**
 * Reads pairs that `npm run evaluate -- --mode parallel --against-mode serial --out FILE` keeps. Pairs with an empty answer are
 * left out.
 * @throws Error naming the file and the line, if answers have no steps
 */
export async function readMeasured(file: string): Promise<MeasuredPrompt[]> {
  const found: MeasuredPrompt[] = [];
  for await (const { row, line } of readRows(file)) {
    const { prompt } = row;
    const [model, against] = [row.model, row.against] as (Answer | undefined)[];
    if (typeof prompt !== "string" || !hasSteps(model) || !hasSteps(against)) {
      throw new Error(`${file}, line ${line}: it needs "prompt", and two answers with their steps`);
    }
    const [ours, theirs] = [perToken(model), perToken(against)];
    if (ours === null || theirs === null) continue;
    const branched = Number(model.stages ?? 0) > 0;
    found.push({ prompt, branched, saving: 1 - ours / theirs });
  }
  return found;
}
