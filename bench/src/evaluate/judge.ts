// What is measured of one answer.

import { repetitionOf } from "@anabranch/training/pipeline/repetition.ts";
import { check } from "@anabranch/training/tasks/task.ts";
import { type Verdict, verdictOf } from "../ifeval/instructions.ts";
import { words } from "../ifeval/text.ts";
import type { GivenAnswer, Pair, Question, Side } from "./pairs.ts";

/** The measures of an answer, in the order of the table. docs/evaluate.md says what each means. */
export const measureNames = [
  "seconds",
  "first_byte_seconds",
  "steps",
  "visible_tokens",
  "completion_tokens",
  "tokens_per_step",
  "coverage",
  "branches",
  "words",
  "cut_off",
  "repeated_sentences",
  "repeated_items",
  "prompt_strict",
  "prompt_loose",
  "instruction_strict",
  "instruction_loose",
  "claims_found",
  "all_claims",
  "log_likelihood",
] as const;
export type MeasureName = (typeof measureNames)[number];

/** Measures whose values are 0 or 1, or shares between. */
export const shares: ReadonlySet<MeasureName> = new Set<MeasureName>([
  "coverage",
  "cut_off",
  "repeated_sentences",
  "repeated_items",
  "prompt_strict",
  "prompt_loose",
  "instruction_strict",
  "instruction_loose",
  "claims_found",
  "all_claims",
]);

/** Values of one answer: one of most measures, one per instruction of some, none of what is unknown. */
export type Measures = Record<MeasureName, readonly number[]>;

export interface Judged {
  pair: Pair;
  measures: Record<Side, Measures>;
  verdicts: Record<Side, Verdict>;
}

/** Nats per token of an answer under the third model; null if it can't be scored. */
export type Likelihood = (question: Question, text: string) => Promise<number | null>;

const known = (value: number | null | undefined): number[] =>
  value === undefined || value === null ? [] : [value];

function judgeAnswer(
  { claims, instructions }: Question,
  answer: GivenAnswer,
  { strict, loose }: Verdict,
  likelihood: number | null,
): Measures {
  const { text, ms, firstMs, steps, stages, branches, visibleTokens, completionTokens } = answer;
  const found = claims.map((claim) => Number(check([claim], text)));
  const repetition = repetitionOf(text);
  const every = (list: readonly (number | boolean)[]) =>
    list.length === 0 ? [] : [Number(list.every(Boolean))];
  return {
    seconds: known(ms).map((each) => each / 1000),
    first_byte_seconds: known(firstMs).map((each) => each / 1000),
    steps: known(steps),
    visible_tokens: known(visibleTokens),
    completion_tokens: known(completionTokens),
    tokens_per_step: steps && visibleTokens !== undefined ? [visibleTokens / steps] : [],
    coverage: known(stages).map((each) => Number(each > 0)),
    branches: known(branches),
    words: [words(text).length],
    cut_off: answer.finish === undefined ? [] : [Number(answer.finish === "length")],
    repeated_sentences: known(repetition.sentences),
    repeated_items: known(repetition.items),
    prompt_strict: every(instructions.length > 0 ? strict : []),
    prompt_loose: every(instructions.length > 0 ? loose : []),
    instruction_strict: strict.map(Number),
    instruction_loose: loose.map(Number),
    claims_found:
      found.length === 0 ? [] : [found.reduce((sum, each) => sum + each, 0) / found.length],
    all_claims: every(found),
    log_likelihood: known(likelihood),
  };
}

/** Judges both answers of a pair. @throws Error naming the question if its instructions are wrong */
export async function judge(pair: Pair, likelihood: Likelihood | undefined): Promise<Judged> {
  const { question, answers } = pair;
  const verdict = (side: Side) => {
    try {
      return verdictOf(question.instructions, answers[side].text);
    } catch (error) {
      throw new Error(`prompt ${question.id}: ${(error as Error).message}`);
    }
  };
  const verdicts = { model: verdict("model"), against: verdict("against") };
  const measure = async (side: Side) =>
    judgeAnswer(
      question,
      answers[side],
      verdicts[side],
      (await likelihood?.(question, answers[side].text)) ?? null,
    );
  return {
    pair,
    verdicts,
    measures: { model: await measure("model"), against: await measure("against") },
  };
}

/** The rows of --scores: an answer a line, with its prompt and its measures. */
export const scoreRows = ({ pair: { question, answers }, measures, verdicts }: Judged) =>
  (["model", "against"] as const).map((side) => ({
    ...{ id: question.id, category: question.category, side },
    ...{ prompt: question.prompt, response: answers[side].text },
    instruction_id_list: question.instructions.map(({ id }) => id),
    kwargs: question.instructions.map(({ parameters }) => parameters),
    ...verdicts[side],
    measures: Object.fromEntries(
      Object.entries(measures[side]).flatMap(([name, [first]]) =>
        name.startsWith("instruction_") || first === undefined ? [] : [[name, first]],
      ),
    ),
  }));
