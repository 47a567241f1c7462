// What a set of cut answers amounts to: how much is parallel, and how many decode steps that saves.
import { type Cut, plainText } from "./parts.ts";
import type { Count } from "./steps.ts";

/** Mean and largest speed-up in steps; null where there are no answers. */
export interface SpeedUp {
  mean: number | null;
  max: number | null;
}

/** Of the answers of one category, or of all. */
export interface Figures {
  answers: number;
  parallel: number;
  /** Share of answers with a parallel stage. */
  ppd: number | null;
  /** Body tokens over all tokens of the plain text. */
  dp: number | null;
  /** The same over the answers that have a stage. */
  dpOfParallel: number | null;
  stages: number;
  branches: number;
  /** Branches a stage. */
  abn: number | null;
  /** (branch tokens - title tokens) / branch tokens, a branch from its opening through its end. */
  efficiency: number | null;
  /** Tokens of the plain text over decode steps, over all answers and over those with a stage. */
  speedUp: { all: SpeedUp; parallel: SpeedUp };
}

export interface Summary extends Figures {
  /** Answers whose parts do not give the text back. Must be 0. */
  roundTripFailures: number;
  categories: Record<string, Figures>;
  /** Stages by the structure they were found in. */
  kinds: Record<string, number>;
  /** Candidates that were refused, by reason. */
  rejections: Record<string, number>;
  /** Parallel answers by speed-up: [from, number], from 1.0 by tenths; the last is open. */
  histogram: [number, number][];
}

interface Sums {
  answers: number;
  parallel: number;
  tokens: number;
  parallelTokens: number;
  inside: number;
  stages: number;
  branches: number;
  branch: number;
  titles: number;
  speedUp: number;
  speedUpOfParallel: number;
  most: number;
}

const noSums: Sums = {
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
  most: 0,
};

const bins = 31;

export class Statistics {
  readonly #count: Count;
  readonly #all: Sums = { ...noSums };
  readonly #categories = new Map<string, Sums>();
  readonly #kinds: Record<string, number> = {};
  readonly #rejections: Record<string, number> = {};
  readonly #histogram: number[] = new Array<number>(bins).fill(0);
  #roundTripFailures = 0;

  constructor(count: Count) {
    this.#count = count;
  }

  add(category: string, response: string, { parts, stages, rejections }: Cut): void {
    if (plainText(parts) !== response) this.#roundTripFailures++;
    const own = this.#categories.get(category) ?? { ...noSums };
    this.#categories.set(category, own);
    const tokens = this.#count(response);
    const inside = stages.reduce((sum, { cost }) => sum + cost.plain, 0);
    const steps = tokens - inside + stages.reduce((sum, { cost }) => sum + cost.steps, 0);
    const speedUp = steps === 0 ? 1 : tokens / steps;
    for (const sums of [this.#all, own]) {
      sums.answers++;
      sums.tokens += tokens;
      sums.speedUp += speedUp;
      sums.inside += inside;
      if (stages.length === 0) continue;
      sums.parallel++;
      sums.parallelTokens += tokens;
      sums.speedUpOfParallel += speedUp;
      sums.most = Math.max(sums.most, speedUp);
      sums.stages += stages.length;
      for (const { branches, cost } of stages) {
        sums.branches += branches.length;
        sums.branch += cost.branch;
        sums.titles += cost.titles;
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
      categories: Object.fromEntries(categories.map(([name, sums]) => [name, figuresOf(sums)])),
      kinds: byNumber(this.#kinds),
      rejections: byNumber(this.#rejections),
      histogram: this.#histogram.map((number, i) => [1 + i / 10, number]),
    };
  }
}

const share = (part: number, of: number) => (of === 0 ? null : part / of);

function figuresOf(sums: Sums): Figures {
  const { answers, parallel, stages, branches } = sums;
  const most = parallel === 0 ? null : sums.most;
  return {
    answers,
    parallel,
    ppd: share(parallel, answers),
    dp: share(sums.inside, sums.tokens),
    dpOfParallel: share(sums.inside, sums.parallelTokens),
    stages,
    branches,
    abn: share(branches, stages),
    efficiency: share(sums.branch - sums.titles, sums.branch),
    speedUp: {
      all: {
        mean: share(sums.speedUp, answers),
        max: answers === 0 ? null : Math.max(1, sums.most),
      },
      parallel: { mean: share(sums.speedUpOfParallel, parallel), max: most },
    },
  };
}

function byNumber(counts: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).sort(([, a], [, b]) => b - a));
}
