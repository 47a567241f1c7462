// The cost of a stage in decode steps, counted as the engine does (docs/design.md, section 4).

/** Counts the tokens of a text, without special tokens. */
export type Count = (text: string) => number;

/** The cost of one stage. */
export interface StageCost {
  /** Tokens of its text: its steps if decoded serially. */
  plain: number;
  /** Decode steps of the plan, the fork, the longest body and the join. */
  steps: number;
  /** Tokens of all branches, each from its opening through its closing marker. */
  branch: number;
  /** Tokens of the titles, which the openings repeat. */
  titles: number;
}

const separator = ": ";
/** Markers around a branch. */
const branchMarkers = 2;

/**
 * Steps: one for the first `<|title|>`; one per title token, while a title's end and the next one's start
 * are draft tokens that take no step; one for `<|para|>` and all openings; one per token of the longest
 * body; and one for its `<|/branch|>` and the join. A lead is the beginning of its body, and its list mark
 * is drafted as well, but for the first one's.
 */
export function stageCost(
  branches: readonly { title: string; body: string }[],
  count: Count,
  titles: "hidden" | "leads" = "hidden",
) {
  const cost: StageCost = { plain: 0, steps: 3, branch: 0, titles: 0 };
  if (titles === "leads") return costWithLeads(branches, count, cost);
  const opening = branchMarkers + count(separator);
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

function costWithLeads(
  branches: readonly { title: string; body: string }[],
  count: Count,
  cost: StageCost,
): StageCost {
  let longest = 0;
  for (const [i, { title, body }] of branches.entries()) {
    const mark = i === 0 ? 0 : count(/^\s*(?:\S{1,3}\s+)?\W*/.exec(title)?.[0] ?? "");
    const [titleTokens, rest] = [count(title), count(body.slice(title.length))];
    longest = Math.max(longest, rest);
    cost.plain += titleTokens + rest;
    cost.steps += titleTokens - mark;
    cost.titles += titleTokens;
    cost.branch += branchMarkers + titleTokens + rest;
  }
  cost.steps += longest;
  return cost;
}

/** For counting without a tokenizer: English prose has about four characters per token. */
export const charactersPerToken = 4;
export const estimate: Count = (text) => Math.ceil(text.length / charactersPerToken);
