// A row of the label file: a prompt, and how parallel its answers are.
import { readRows } from "../pipeline/jsonl.ts";

export interface PromptLabel {
  source: string;
  prompt: string;
  /** 2 for the second turn of a chat. */
  turn: number;
  /** The mean expected speed-up of its answers in steps; null without answers. */
  speedup: number | null;
  /** Share of answers with a speed-up of at least `parallelSpeedUp`; null without answers. */
  parallel: number | null;
  answers: number;
  /** Share of answers on the majority's side; null without answers. */
  agreement: number | null;
  /** By a reader of the prompt, or by the prompt's construction: 1 points, 0 one text, 0.5 unclear. */
  judged: number | null;
}

export const parallelSpeedUp = 1.2;

/** Of a prompt that nobody judged and nobody answered. */
const unlabelled = {
  ...{ turn: 1, answers: 0 },
  ...{ speedup: null, parallel: null, agreement: null, judged: null },
};

/**
 * What a row leaves out is not known of it.
 * @throws Error naming the file and the line
 */
export async function readLabels(files: readonly string[]): Promise<PromptLabel[]> {
  const labels: PromptLabel[] = [];
  for (const file of files) {
    for await (const { row, line } of readRows(file)) {
      const label = { ...unlabelled, ...row } as PromptLabel;
      const { source, prompt, judged, parallel } = label;
      if (typeof prompt !== "string" || typeof source !== "string") {
        throw new Error(`${file}, line ${line}: it needs "source" and "prompt"`);
      }
      if (judged === null && parallel === null) {
        throw new Error(`${file}, line ${line}: it needs "judged" or "parallel"`);
      }
      labels.push(label);
    }
  }
  return labels;
}

/**
 * Labels for measuring alone: rows with `prompt` and `label`, 0 or 1.
 * @throws Error naming the file and the line
 */
export async function readTestLabels(file: string): Promise<PromptLabel[]> {
  const labels: PromptLabel[] = [];
  for await (const { row, line } of readRows(file)) {
    const { prompt, label } = row;
    if (typeof prompt !== "string" || (label !== 0 && label !== 1)) {
      throw new Error(`${file}, line ${line}: it needs "prompt", and "label" as 0 or 1`);
    }
    labels.push({ ...unlabelled, source: "test", prompt, judged: label });
  }
  return labels;
}
