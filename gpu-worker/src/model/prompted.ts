// Branches from a model without markers. It is asked for a plan in a chat turn of its own, which only
// the branches see, and the engine reads one title per line (docs/design.md, section 4).
import type { PlanPrompt } from "@anabranch/native";
import { promptedDialect } from "@anabranch/shared/prompted.ts";
import { spell } from "./spell.ts";
import { type Message, PromptError, type TextModel } from "./text-model.ts";

const MAX_BRANCHES = 8;
/** An answer of fewer tokens is not worth a plan. */
const MIN_TOKENS = 128;

const request = (branches: number) =>
  `Plan your answer before you write it. If it has parts that can each be written without reading the others, list their titles, at most ${branches}: one a line, each a few words after "- ", then an empty line. After that the answer follows, each part under its title as a heading (##). If the answer should be written in one piece, say only "none" and nothing else.`;

/** The dialect in the model's own ids, for the engine; undefined if its tokenizer can't write it. */
export function promptedDialectOf(model: TextModel): string | undefined {
  const lineEnds = model.tokensWhere((text) => text.includes("\n"));
  const blanks = model.tokensWhere((text) => text.includes("\n") && text.trim() === "");
  const headings = model.tokensWhere((text) => text.trim() === "##");
  try {
    const dialect = spell(
      {
        ...{ version: 1, name: promptedDialect, prompted: true, resume: "sum" },
        title_open: { text: "-" },
        no_plan: { text: "none" },
        title_close: { text: "\n", or: lineEnds },
        fork: { text: "\n", or: blanks },
        opening: [{ text: "##" }, "title", { text: "\n\n" }],
        branch_close: { text: "\n\n\n", or: headings },
        join: { text: "\n" },
        visible: ["serial", "opening", "body", "branch_close"],
        caps: { branches: MAX_BRANCHES, title_tokens: 16, branch_tokens: 1024, stages: 1 },
      },
      model,
    );
    return JSON.stringify(dialect);
  } catch {
    return undefined;
  }
}

/**
 * The ids of the prompt with a request for a plan at the end of its last turn, from the first id that
 * differs from `prompt`. Undefined if the answer is too short for a plan or the prompt can't hold one.
 */
export function planPromptOf(
  model: TextModel,
  messages: readonly Message[],
  prompt: readonly number[],
  { maxTokens, maxBranches }: { maxTokens: number; maxBranches: number },
): PlanPrompt | undefined {
  const last = messages.at(-1);
  if (last?.role !== "user" || maxTokens < MIN_TOKENS) return undefined;
  const branches = Math.min(maxBranches || MAX_BRANCHES, MAX_BRANCHES);
  const content = `${last.content}\n\n${request(branches)}`;
  try {
    const asked = model.chat([...messages.slice(0, -1), { ...last, content }]);
    const at = asked.findIndex((id, i) => id !== prompt[i]);
    return at < 1 || at >= prompt.length ? undefined : { at, ids: asked.slice(at) };
  } catch (error) {
    if (error instanceof PromptError) return undefined;
    throw error;
  }
}
