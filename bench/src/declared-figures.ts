// From the runs of `npm run bench -- declared` to its figures.
import type { Run, Way } from "./declared-asking.ts";
import { median } from "./quantiles.ts";
import { round } from "./report.ts";

/** One run, and the prompt tokens that the server computed for it. */
export interface Measured extends Run {
  computed: number;
}

/** One way to ask, medians over the runs. */
export interface WayFigures {
  seconds: number;
  first_answer_seconds: number;
  computed_tokens: number;
}

export type WaysFigures = Partial<Record<Way, WayFigures>>;

/** Questions about a context of some length. */
export interface CaseFigures {
  questions: number;
  /** Tokens of the text that the questions share. */
  context: number;
  here: WaysFigures;
  /** Time of separate requests over that of one request with declared branches. */
  over_sequential: number;
  over_concurrent: number;
  /** Whether all ways gave the same answers here. */
  equal: boolean;
  /** llama.cpp's server on the same file, in the ways that it was asked; null if the environment names none. */
  llama_cpp: WaysFigures | null;
}

export function wayFigures(runs: readonly Measured[]): WayFigures {
  const middle = (of: (run: Measured) => number) => median(runs.map(of));
  return {
    seconds: round(middle(({ ms }) => ms) / 1000),
    first_answer_seconds: round(middle(({ firstAnswerMs }) => firstAnswerMs) / 1000),
    computed_tokens: middle(({ computed }) => computed),
  };
}

/** The runs of each way, in the same order of tasks. */
export type Runs = Partial<Record<Way, Measured[]>>;

const figuresOf = (runs: Runs): WaysFigures =>
  Object.fromEntries(Object.entries(runs).map(([way, all]) => [way, wayFigures(all)]));

/** Median over the pairs of runs of one task. */
function over(slower: readonly Measured[] = [], faster: readonly Measured[] = []): number {
  return round(median(slower.map(({ ms }, i) => ms / (faster[i]?.ms ?? Number.NaN))));
}

export function caseFigures(
  questions: number,
  context: number,
  here: Runs,
  peer: Runs | null,
): CaseFigures {
  const { declared = [], sequential = [], concurrent = [] } = here;
  const same = (runs: readonly Measured[]) =>
    runs.every(({ texts }, i) => texts.join("\0") === declared[i]?.texts.join("\0"));
  return {
    ...{ questions, context },
    here: figuresOf(here),
    over_sequential: over(sequential, declared),
    over_concurrent: over(concurrent, declared),
    equal: same(sequential) && same(concurrent),
    llama_cpp: peer && figuresOf(peer),
  };
}
