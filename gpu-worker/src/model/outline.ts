// Outlines: what the engine must know to branch a model without markers at the lists of its own text
// (docs/design.md, section 4.1).
import type { OutlineRules } from "@anabranch/native";
import {
  procedureWords as foreignProcedureWords,
  partWords,
  sequelWords,
  summaryWords,
} from "@anabranch/shared/order-words.ts";
import type { TextModel } from "./text-model.ts";

/** The engine knows the two cases of ASCII letters only: "Étape" is another word than "étape" to it. */
function inBothCases(words: readonly string[]): string[] {
  return words.flatMap((word) => {
    const begun = word.charAt(0);
    return begun === begun.toUpperCase() || /^[a-z]/.test(begun)
      ? [word]
      : [word, begun.toUpperCase() + word.slice(1)];
  });
}

/** A title that begins with one of these words is part of a sequence: its item builds on others. */
const sequentialTitles = [
  ...["step", "first", "firstly", "second", "secondly", "third", "thirdly", "fourth", "fifth"],
  ...[
    "next",
    "then",
    "finally",
    "lastly",
    "after",
    "before",
    "afterwards",
    "day",
    "week",
    "chapter",
  ],
  ...["part", "phase", "stage", "act", "scene", "verse", "stanza", "option a", "option 1"],
  ...["ingredients", "preparation", "procedure", "base case", "inductive step", "proof"],
  ...inBothCases([...partWords, ...sequelWords]),
];

/** Titles of parts that sum up what the others say. */
const closingTitles = [
  ...["conclusion", "conclusions", "summary", "in summary", "in conclusion", "overall", "total"],
  ...["final thoughts", "final answer", "result", "results", "note", "notes", "example", "output"],
  ...inBothCases(summaryWords),
];

/** A list after a line with one of these words is a procedure. */
const procedureWords = [
  ...["step by step", "step-by-step", "these steps", "following steps", "steps below"],
  ...["recipe", "instructions", "algorithm", "procedure", "derivation", "calculate", "solve"],
  ...inBothCases(foreignProcedureWords),
];

/** When an item joins the answer; absent: as for any model. */
export interface OutlineThresholds {
  /** Of its mark, at least. */
  continueProbability: number | undefined;
  /** Mean negative log-probability of its first tokens, in nats, at most. */
  surprise: number | undefined;
}

/** The engine's rules for outlines of this model. */
export function outlineRulesOf(
  model: TextModel,
  { continueProbability, surprise }: OutlineThresholds,
): OutlineRules {
  return {
    ...{ texts: model.tokenTexts, sequentialTitles, closingTitles, procedureWords },
    ...(continueProbability !== undefined && { continueProbability }),
    ...(surprise !== undefined && { bodyLogProbability: -surprise }),
  };
}
