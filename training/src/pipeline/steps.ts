// What a stage costs in decode steps, by the engine's own accounting (docs/design.md, section 4).

/** Tokens of one piece of text, special tokens excluded. */
export type Count = (text: string) => number;

/** Of one stage, in tokens. */
export interface StageCost {
  /** Its text written serially. */
  plain: number;
  /** Decode steps with the plan, the fork, the longest body and the join. */
  steps: number;
  /** Every branch from its opening marker through its closing one. */
  branch: number;
  /** Titles restated in the openings. */
  titles: number;
}

const separator = ": ";

/**
 * The first `<|title|>`; the tokens of every title, whose end and the next one's begin are guessed and take no
 * step; one for `<|para|>` and all openings; one a token of the longest body; one for its `<|/branch|>` and
 * the join.
 */
export function stageCost(branches: readonly { title: string; body: string }[], count: Count) {
  const cost: StageCost = { plain: 0, steps: 3, branch: 0, titles: 0 };
  const opening = 2 + count(separator);
  let longest = 0;
  for (const { title, body } of branches) {
    const [titleTokens, bodyTokens] = [count(title), count(body)];
    longest = Math.max(longest, bodyTokens);
    cost.plain += bodyTokens;
    cost.steps += titleTokens;
    cost.titles += titleTokens;
    cost.branch += opening + titleTokens + bodyTokens;
  }
  cost.steps += longest;
  return cost;
}

/** Where no tokenizer is at hand: English prose has about four characters a token. */
export const charactersPerToken = 4;
export const estimate: Count = (text) => Math.ceil(text.length / charactersPerToken);
