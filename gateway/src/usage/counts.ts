// The token counts of an answer, as its usage block reports them.
import { PlanDrop, type Usage } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { Tally } from "./token-tally.ts";

export interface Counts extends Tally {
  promptTokens: number;
  cachedTokens: number;
}

export const noCounts: Counts = {
  promptTokens: 0,
  completionTokens: 0,
  visibleTokens: 0,
  cachedTokens: 0,
  steps: 0,
  stages: 0,
  branches: 0,
  outlineTokens: 0,
  droppedTokens: 0,
  droppedPlans: [],
  outlineEnds: [],
};

export function countsOf({ $typeName: _, $unknown: __, droppedPlan, ...counts }: Usage): Counts {
  return { ...counts, droppedPlans: droppedPlan === PlanDrop.UNSPECIFIED ? [] : [droppedPlan] };
}

/** The sum over choices. They share one prompt; the choice with the fewest cached tokens prefilled it. */
export function sumOfChoices(choices: readonly Counts[]): Counts {
  return {
    ...sumOfPrompts(choices),
    promptTokens: Math.max(...choices.map(({ promptTokens }) => promptTokens)),
    cachedTokens: Math.min(...choices.map(({ cachedTokens }) => cachedTokens)),
  };
}

/** The sum over answers to different prompts. */
export function sumOfPrompts(all: readonly Counts[]): Counts {
  const sum = (of: (counts: Counts) => number) => all.reduce((sum, each) => sum + of(each), 0);
  return {
    promptTokens: sum(({ promptTokens }) => promptTokens),
    cachedTokens: sum(({ cachedTokens }) => cachedTokens),
    completionTokens: sum(({ completionTokens }) => completionTokens),
    visibleTokens: sum(({ visibleTokens }) => visibleTokens),
    steps: sum(({ steps }) => steps),
    stages: sum(({ stages }) => stages),
    branches: sum(({ branches }) => branches),
    outlineTokens: sum(({ outlineTokens }) => outlineTokens),
    droppedTokens: sum(({ droppedTokens }) => droppedTokens),
    droppedPlans: all.flatMap(({ droppedPlans }) => droppedPlans),
    outlineEnds: all.flatMap(({ outlineEnds }) => outlineEnds),
  };
}
