// Leave one source out: how well a classifier does on prompts of a kind that it was not fitted on, beside
// baselines on the same prompts.
import { speedupOf } from "@anabranch/shared/classifier/judge.ts";
import { linear, type Model, sigmoid } from "@anabranch/shared/classifier/model.ts";
import type { LabelledExample } from "./examples.ts";
import { type Costs, fitModel, packed } from "./fit-model.ts";
import { type Latency, latencyOf } from "./latency.ts";
import {
  auc,
  averagePrecision,
  type Prediction,
  type ReliabilityBin,
  rankCorrelation,
  reliability,
  type Scores,
  scores,
} from "./scores.ts";

export interface SourceResult extends Scores {
  source: string;
  /** Spearman's correlation of predicted and measured speed-up; null without measurements. */
  speedup: number | null;
  measured: number;
  /** AUC of what is known without a classifier. */
  baselines: { length: number | null; keywords: number | null; majority: number | null };
  /** Average precision of the best baseline. */
  baselinePrecision: number | null;
}

export interface Evaluation {
  sources: SourceResult[];
  /** Means over sources with both labels. */
  mean: { auc: number; averagePrecision: number; brier: number; ece: number; baseline: number };
  /** Of all sources together, each example judged without its source. */
  pooled: Scores;
  /** The same examples. */
  reliability: ReliabilityBin[];
  latency: Latency;
  /** Labels of people, of which nothing was learned; null without --test. */
  test: SourceResult | null;
}

const keywords =
  /\b(?:list|tips|ways|ideas|steps|examples|reasons|pros|factors|strategies|outline|plan|compare|differences?|advantages|benefits)\b/i;

const baselines: Record<keyof SourceResult["baselines"], (prompt: string) => number> = {
  length: (prompt) => -prompt.length,
  keywords: (prompt) => Number(keywords.test(prompt)),
  majority: () => 0,
};

interface PromptPrediction extends Prediction {
  prompt: string;
}

function judged(model: Model, examples: readonly LabelledExample[]): PromptPrediction[] {
  return examples.flatMap(({ features, parallel, prompt }) =>
    parallel === null
      ? []
      : [{ prompt, parallel, probability: sigmoid(linear(model.parallel, features)) }],
  );
}

function resultOf(source: string, model: Model, examples: readonly LabelledExample[]) {
  const predictions = judged(model, examples);
  const of = (baseline: (prompt: string) => number) =>
    predictions.map(({ prompt, parallel }) => ({ parallel, probability: baseline(prompt) }));
  const measured = examples.filter(({ speedup }) => speedup !== null);
  const precisions = Object.values(baselines).map((each) => averagePrecision(of(each)) ?? 0);
  const result: SourceResult = {
    source,
    ...scores(predictions),
    speedup: rankCorrelation(
      measured.map(({ features }) => speedupOf(model, linear(model.parallel, features))),
      measured.map(({ speedup }) => speedup ?? 1),
    ),
    measured: measured.length,
    baselines: {
      length: auc(of(baselines.length)),
      keywords: auc(of(baselines.keywords)),
      majority: auc(of(baselines.majority)),
    },
    baselinePrecision: Math.max(...precisions),
  };
  return { result, predictions };
}

const best = ({ baselines: { length, keywords: words, majority } }: SourceResult) =>
  Math.max(length ?? 0, words ?? 0, majority ?? 0);

/** `log` is told of each step. */
export function evaluate(
  examples: readonly LabelledExample[],
  test: readonly LabelledExample[] | null,
  costs: Costs,
  log: (line: string) => void,
): Evaluation {
  const sources = [...new Set(examples.map(({ source }) => source))];
  const predictions: PromptPrediction[] = [];
  const results = sources.map((source) => {
    log(`without ${source}`);
    const model = packed(
      fitModel(
        examples.filter((each) => each.source !== source),
        costs,
      ),
    );
    const { result, predictions: own } = resultOf(
      source,
      model,
      examples.filter((each) => each.source === source),
    );
    predictions.push(...own);
    return result;
  });
  log("all sources");
  const whole = packed(fitModel(examples, costs));
  const rated = results.filter((each) => each.auc !== null);
  const mean = (of: (result: SourceResult) => number) =>
    rated.reduce((sum, each) => sum + of(each), 0) / Math.max(1, rated.length);
  return {
    sources: results,
    mean: {
      auc: mean((each) => each.auc ?? 0),
      averagePrecision: mean((each) => each.averagePrecision ?? 0),
      brier: mean(({ brier }) => brier),
      ece: mean(({ ece }) => ece),
      baseline: mean(best),
    },
    pooled: scores(predictions),
    reliability: reliability(predictions),
    latency: latencyOf(
      whole,
      examples.map(({ prompt }) => prompt),
    ),
    test: test && resultOf("test", whole, test).result,
  };
}
