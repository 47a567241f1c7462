// The rows that training/python reads.
import type { Answer } from "./answers.ts";
import type { Part } from "./parts.ts";

/** `parallel` says whether there are branches, `twin` whether the row is the serial twin of one. */
export interface TrainingRow {
  id: string;
  family: string;
  parallel: boolean;
  twin: boolean;
  prompt: string;
  response: string;
  parts: readonly Part[];
}

export function trainingRow(answer: Answer, parts: readonly Part[]): TrainingRow {
  const parallel = parts.some((part) => "parallel" in part);
  return { ...base(answer), parallel, twin: false, parts };
}

/** The same text as one serial run: what a serial model of a fair comparison learns from. */
export function twinRow(answer: Answer): TrainingRow {
  return { ...base(answer), parallel: false, twin: true, parts: [{ serial: answer.response }] };
}

/** Ids repeat per model in the answers; in training rows they don't. */
const base = ({ id, model, category, prompt, response }: Answer) => ({
  id: `${id}/${model}`,
  family: category,
  prompt,
  response,
});
