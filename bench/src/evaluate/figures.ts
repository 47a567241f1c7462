// Figures of two sides from the measures of their answers.
import { areInOrder, listNumbers } from "@anabranch/training/pipeline/list-numbers.ts";
import { type Interval, intervalOf, type RatioInterval, ratiosOf, shareOf } from "./intervals.ts";
import { type Judged, type MeasureName, type Measures, measureNames, shares } from "./judge.ts";
import type { Side } from "./pairs.ts";

/** A mean for each measure that is known of any answer. */
export type Means = Partial<Record<MeasureName, Interval>>;

/** Ratios per pair, over the pairs whose answer of `model` branched, and over all. */
export interface SpeedUp {
  branched: RatioInterval;
  all: RatioInterval;
}

export interface Figures {
  pairs: number;
  /** Share of the answers of `model` with at least one stage; null if unknown. */
  coverage: number | null;
  /**
   * Of each pair, time and decode steps per visible token of `against` over those of `model`: per token,
   * because the two texts differ in length. More than 1: `model` is faster.
   */
  speedup: { time: SpeedUp; steps: SpeedUp };
  /** What became of the outlines in the answers of `model`: how often each end came. */
  outline_ends: Record<string, number>;
  /** The plans that `model` wrote: how many opened branches, and how many were dropped for which reason. */
  plans: { forked: number; dropped: Record<string, number> };
  /** Numbered lists of three or more items in the answers of `model` that branched, and those whose numbers are in order. */
  numbered_lists: { lists: number; in_order: number };
  model: Means;
  against: Means;
  /** `model` minus `against` of each pair, over the pairs in which both have the measure. */
  difference: Means;
}

const meansOf = (interval: (name: MeasureName) => Interval): Means =>
  Object.fromEntries(
    measureNames.map((name) => [name, interval(name)] as const).filter(([, { n }]) => n > 0),
  );

/** `measure` per visible token; undefined if one is unknown or zero. */
function perToken(of: Measures, measure: MeasureName): number | undefined {
  const [value = 0] = of[measure];
  const [tokens = 0] = of.visible_tokens;
  return value > 0 && tokens > 0 ? value / tokens : undefined;
}

const hasBranched = ({ measures }: Judged): boolean => measures.model.coverage[0] === 1;

function speedUp(judged: readonly Judged[], measure: MeasureName): SpeedUp {
  const ratios = (of: readonly Judged[]) =>
    ratiosOf(
      of.flatMap(({ measures }) => {
        const ours = perToken(measures.model, measure);
        const theirs = perToken(measures.against, measure);
        return ours === undefined || theirs === undefined ? [] : [theirs / ours];
      }),
    );
  return { branched: ratios(judged.filter(hasBranched)), all: ratios(judged) };
}

/** Pairs whose values belong to each other: one to one. */
function differences(judged: readonly Judged[], name: MeasureName): number[] {
  return judged.flatMap(({ measures: { model, against } }) =>
    model[name].length === against[name].length
      ? model[name].map((value, i) => value - (against[name][i] ?? 0))
      : [],
  );
}

/** How often each word comes. */
function counted(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

/** Of the answers of `model`. A model that has outlines writes no plans. */
function stageFigures(
  judged: readonly Judged[],
): Pick<Figures, "outline_ends" | "plans" | "numbered_lists"> {
  const answers = judged.map(({ pair }) => pair.answers.model);
  const outlineEnds = answers.flatMap((answer) => answer.outlineEnds ?? []);
  const lists = judged
    .filter(hasBranched)
    .flatMap(({ pair }) => listNumbers(pair.answers.model.text));
  const stages = answers.map((answer) => (answer.outlineEnds?.length ? 0 : (answer.stages ?? 0)));
  return {
    outline_ends: counted(outlineEnds),
    plans: {
      forked: stages.reduce((sum, each) => sum + each, 0),
      dropped: counted(answers.flatMap((answer) => answer.droppedPlans ?? [])),
    },
    numbered_lists: { lists: lists.length, in_order: lists.filter(areInOrder).length },
  };
}

export function figuresOf(judged: readonly Judged[]): Figures {
  const side = (name: Side) =>
    meansOf((measure) =>
      (shares.has(measure) ? shareOf : intervalOf)(
        judged.flatMap(({ measures }) => measures[name][measure]),
      ),
    );
  const model = side("model");
  return {
    pairs: judged.length,
    coverage: model.coverage?.mean ?? null,
    speedup: { time: speedUp(judged, "seconds"), steps: speedUp(judged, "steps") },
    ...stageFigures(judged),
    model,
    against: side("against"),
    difference: meansOf((measure) => intervalOf(differences(judged, measure))),
  };
}

/** The figures of each category by its name, if there are several. */
export function byCategory(judged: readonly Judged[]): Record<string, Figures> {
  const names = [...new Set(judged.map(({ pair }) => pair.question.category))].sort();
  if (names.length < 2) return {};
  return Object.fromEntries(
    names.map((name) => [
      name,
      figuresOf(judged.filter(({ pair }) => pair.question.category === name)),
    ]),
  );
}
