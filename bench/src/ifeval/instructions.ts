// IFEval (Zhou et al., Instruction-Following Evaluation for Large Language Models, arXiv:2311.07911): whether
// an answer follows instructions that a program can check. The names are the paper's. The behaviour is that
// of lm-eval 0.4.13, which bench/peers/ifeval_peer.py compares with ours on the same answers.
import { formats } from "./formats.ts";
import { keywords } from "./keywords.ts";
import { lengths } from "./lengths.ts";
import type { Check, Parameters } from "./parameters.ts";
import { strip } from "./text.ts";
import { wholeAnswers } from "./whole-answers.ts";

/** All 25 kinds of instruction. */
export const checks: Readonly<Record<string, Check>> = {
  ...keywords,
  ...lengths,
  ...formats,
  ...wholeAnswers,
};

export interface Instruction {
  /** One of the names in `checks`. */
  id: string;
  parameters: Parameters;
}

/** Of each instruction, in order, whether the answer follows it. */
export interface Verdict {
  strict: boolean[];
  /** Whether it or one of seven variants does: without the first line, the last, both, asterisks. */
  loose: boolean[];
}

const follows = ({ id, parameters }: Instruction, text: string): boolean => {
  const check = checks[id];
  if (!check) throw new Error(`IFEval has no instruction "${id}"`);
  return strip(text) !== "" && check(text, parameters);
};

function variants(text: string): string[] {
  const lines = text.split("\n");
  const cut = [lines.slice(1), lines.slice(0, -1), lines.slice(1, -1)];
  const texts = [text, ...cut.map((rest) => strip(rest.join("\n")))];
  return [...texts, ...texts.map((each) => each.replaceAll("*", ""))];
}

/** @throws Error naming an unknown instruction, or a parameter that is missing */
export function verdictOf(instructions: readonly Instruction[], text: string): Verdict {
  const texts = variants(text);
  const strict = instructions.map((instruction) => follows(instruction, text));
  return {
    strict,
    loose: instructions.map(
      (instruction, i) => strict[i] || texts.some((each) => follows(instruction, each)),
    ),
  };
}
