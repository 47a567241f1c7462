// Statistics of a set of cut answers: how much is parallel, and how many decode steps that saves.
import { textOfParts } from "@anabranch/shared/parts.ts";
import type { Cut } from "./cut.ts";
import type { Count } from "./stage-cost.ts";

/** Mean and largest speed-up in steps; null if there are no answers. */
export interface SpeedUp {
  mean: number | null;
  max: number | null;
}

/** Figures of the answers of one category, or of all. */
export interface Figures {
  answers: number;
  parallel: number;
  /** Share of answers with a parallel stage. */
  ppd: number | null;
  /** Body tokens over all tokens of the plain text. */
  dp: number | null;
  /** The same for answers that have a stage. */
  dpOfParallel: number | null;
  stages: number;
  branches: number;
  /** Mean branches per stage. */
  abn: number | null;
  /** (branch tokens - title tokens) / branch tokens; a branch includes its opening and its end. */
  efficiency: number | null;
  /** Tokens of the plain text over decode steps, for all answers and for those with a stage. */
  speedUp: { all: SpeedUp; parallel: SpeedUp };
}

export interface Summary extends Figures {
  /** Answers whose joined parts differ from the text. Must be 0. */
  roundTripFailures: number;
  categories: Record<string, Figures>;
  /** Number of stages by the structure in which they were found. */
  kinds: Record<string, number>;
  /** Number of rejected candidates by reason. */
  rejections: Record<string, number>;
  /** Parallel answers by speed-up as [lower bound, number]: bins of 0.1 from 1.0, the last one open. */
  histogram: [number, number][];
}

/** Totals over answers. */
interface Totals {
  answers: number;
  parallel: number;
  tokens: number;
  parallelTokens: number;
  /** Tokens of bodies. */
  inside: number;
  stages: number;
  branches: number;
  branch: number;
  titles: number;
  speedUp: number;
  speedUpOfParallel: number;
  maxSpeedUp: number;
}

const zero: Totals = {
  answers: 0,
  parallel: 0,
  tokens: 0,
  parallelTokens: 0,
  inside: 0,
  stages: 0,
  branches: 0,
  branch: 0,
  titles: 0,
  speedUp: 0,
  speedUpOfParallel: 0,
  maxSpeedUp: 0,
};

const bins = 31;

/** The expected speed-up in steps of an answer of `tokens` tokens with these stages. */
export function stepSpeedUp(tokens: number, stages: Cut["stages"]): number {
  const steps = stages.reduce((sum, { cost }) => sum + cost.steps - cost.plain, tokens);
  return steps === 0 ? 1 : tokens / steps;
}

export class Statistics {
  readonly #count: Count;
  readonly #all: Totals = { ...zero };
  readonly #categories = new Map<string, Totals>();
  readonly #kinds: Record<string, number> = {};
  readonly #rejections: Record<string, number> = {};
  readonly #histogram: number[] = new Array<number>(bins).fill(0);
  #roundTripFailures = 0;

  constructor(count: Count) {
    this.#count = count;
  }

  add(category: string, response: string, { parts, stages, rejections }: Cut): void {
    if (textOfParts(parts) !== response) this.#roundTripFailures++;
    const own = this.#categories.get(category) ?? { ...zero };
    this.#categories.set(category, own);
    const tokens = this.#count(response);
    const inside = stages.reduce((sum, { cost }) => sum + cost.plain, 0);
    const speedUp = stepSpeedUp(tokens, stages);
    for (const totals of [this.#all, own]) {
      totals.answers++;
      totals.tokens += tokens;
      totals.speedUp += speedUp;
      totals.inside += inside;
      if (stages.length === 0) continue;
      totals.parallel++;
      totals.parallelTokens += tokens;
      totals.speedUpOfParallel += speedUp;
      totals.maxSpeedUp = Math.max(totals.maxSpeedUp, speedUp);
      totals.stages += stages.length;
      for (const { branches, cost } of stages) {
        totals.branches += branches.length;
        totals.branch += cost.branch;
        totals.titles += cost.titles;
      }
    }
    for (const { kind } of stages) this.#kinds[kind] = (this.#kinds[kind] ?? 0) + 1;
    for (const { reason } of rejections) {
      if (reason !== undefined) this.#rejections[reason] = (this.#rejections[reason] ?? 0) + 1;
    }
    if (stages.length > 0) {
      const bin = Math.min(bins - 1, Math.max(0, Math.floor((speedUp - 1) * 10 + 1e-9)));
      this.#histogram[bin] = (this.#histogram[bin] ?? 0) + 1;
    }
  }

  summary(): Summary {
    const categories = [...this.#categories].sort(([a], [b]) => a.localeCompare(b));
    return {
      ...figuresOf(this.#all),
      roundTripFailures: this.#roundTripFailures,
      categories: Object.fromEntries(categories.map(([name, totals]) => [name, figuresOf(totals)])),
      kinds: mostFrequentFirst(this.#kinds),
      rejections: mostFrequentFirst(this.#rejections),
      histogram: this.#histogram.map((number, i) => [1 + i / 10, number]),
    };
  }
}

const share = (part: number, of: number) => (of === 0 ? null : part / of);

function figuresOf(totals: Totals): Figures {
  const { answers, parallel, stages, branches } = totals;
  const max = parallel === 0 ? null : totals.maxSpeedUp;
  return {
    answers,
    parallel,
    ppd: share(parallel, answers),
    dp: share(totals.inside, totals.tokens),
    dpOfParallel: share(totals.inside, totals.parallelTokens),
    stages,
    branches,
    abn: share(branches, stages),
    efficiency: share(totals.branch - totals.titles, totals.branch),
    speedUp: {
      all: {
        mean: share(totals.speedUp, answers),
        max: answers === 0 ? null : Math.max(1, totals.maxSpeedUp),
      },
      parallel: { mean: share(totals.speedUpOfParallel, parallel), max },
    },
  };
}

function mostFrequentFirst(counts: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).sort(([, a], [, b]) => b - a));
}
