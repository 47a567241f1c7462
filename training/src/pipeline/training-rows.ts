// The rows of data that training/python reads.
import type { AnswerPart } from "@anabranch/shared/parts.ts";
import type { Answer } from "./answers.ts";

export interface TrainingRow {
  id: string;
  family: string;
  /** Whether the answer has branches. */
  parallel: boolean;
  /** Whether the row is the serial twin of an answer. */
  twin: boolean;
  prompt: string;
  response: string;
  parts: readonly AnswerPart[];
}

export function trainingRow(answer: Answer, parts: readonly AnswerPart[]): TrainingRow {
  const parallel = parts.some((part) => "parallel" in part);
  return { ...base(answer), parallel, twin: false, parts };
}

/** The same text as one serial run, from which the serial model of a fair comparison learns. */
export function twinRow(answer: Answer): TrainingRow {
  return { ...base(answer), parallel: false, twin: true, parts: [{ serial: answer.response }] };
}

/** Ids are unique: answers of several models may share an id, so the row's id includes the model. */
const base = ({ id, model, category, prompt, response }: Answer) => ({
  id: `${id}/${model}`,
  family: category,
  prompt,
  response,
});
