// The labels that the classifier learns from, as examples: those of the label file, tasks of the demo
// generator, and constructed prompts.
import { featuresOf } from "@anabranch/shared/classifier/features.ts";
import { makeTask } from "../tasks/catalogue.ts";
import type { Split } from "../tasks/task.ts";
import { constructedPrompts } from "./constructed.ts";
import type { Example } from "./logistic.ts";
import type { PromptLabel } from "./prompt-label.ts";
import { vectorOf } from "./word-vectors.ts";

export interface LabelledExample extends Example {
  source: string;
  prompt: string;
  /** Whether an answer is parallel; null where the label is undecided. */
  parallel: boolean | null;
  /** Mean of the measured speed-ups; null without answers. */
  speedup: number | null;
}

/** How much each source counts in a fit: by what it teaches, and not by its size. */
const weightOf: Record<string, number> = {
  demo: 150,
  topics: 500,
  constructed: 600,
  written: 2000,
  arena_hard: 500,
  biggen: 300,
  gsm8k: 80,
  self_instruct: 500,
  oasst: 600,
  mt_bench: 150,
};
const otherWeight = 100;

/** Demo tasks come from another generator than prompts of people, and each fit has as many. */
const demoTasks = 400;
const constructed = 900;

interface Row {
  source: string;
  prompt: string;
  turn: number;
  target: number;
  speedup: number | null;
}

export function demoRows(count: number, split: Split): Row[] {
  return Array.from({ length: count }, (_, index) => {
    const { prompt, parallel } = makeTask(20, index, split);
    return { source: "demo", prompt, turn: 1, target: Number(parallel), speedup: null };
  });
}

function constructedRows(): Row[] {
  return constructedPrompts(constructed, 1).map(({ prompt, label }) => {
    return { source: "constructed", prompt, turn: 1, target: label, speedup: null };
  });
}

/** A reader's judgement counts before what a model made of the prompt. */
const labelRow = ({ source, prompt, turn, judged, parallel, speedup }: PromptLabel): Row => ({
  ...{ source, prompt, turn, speedup },
  target: judged ?? parallel ?? 0,
});

export function examplesOf(rows: readonly Row[]): LabelledExample[] {
  const sources = [...new Set(rows.map(({ source }) => source))];
  const sizes = new Map<string, number>();
  for (const { source } of rows) sizes.set(source, (sizes.get(source) ?? 0) + 1);
  return rows.map(({ source, prompt, turn, target, speedup }) => {
    const features = featuresOf(prompt, turn);
    return {
      ...{ source, prompt, target, speedup, features },
      group: sources.indexOf(source),
      vector: vectorOf(features),
      parallel: target === 0.5 ? null : target > 0.5,
      weight: (weightOf[source] ?? otherWeight) / (sizes.get(source) ?? 1),
    };
  });
}

/** All that the classifier learns from. */
export const trainingExamples = (labels: readonly PromptLabel[]): LabelledExample[] =>
  examplesOf([...labels.map(labelRow), ...demoRows(demoTasks, "train"), ...constructedRows()]);

/** Labels that are not learned from. */
export const testExamples = (labels: readonly PromptLabel[]): LabelledExample[] =>
  examplesOf(labels.map(labelRow));
