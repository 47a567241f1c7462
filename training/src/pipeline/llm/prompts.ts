// The prompts for a language model: to name independent spans of an answer, and to vote on them.
import type { BranchPart } from "@anabranch/shared/parts.ts";
import type { Unit } from "./units.ts";

export interface Message {
  role: "system" | "user";
  content: string;
}

const spanInstructions = `You look at a finished answer and find the parts of it that could have been written at the same time by writers who do not see each other's text.

The answer is given in numbered units. Reply with one JSON object and nothing else:
{"groups": [{"parts": [{"title": "...", "from": 3, "to": 5}, {"title": "...", "from": 6, "to": 8}]}]}

- A group is a run of neighbouring parts. Part follows part without a gap: each "from" is the unit after the previous "to".
- Every writer knows the question, the text before the group and all titles, and nothing else of the group. If a part goes on from another one, uses its result, names it, or is a later step of the same procedure, the two can't be parts of one group.
- Between two groups there is at least one unit that belongs to none.
- A part is at least a full sentence or list item, with everything that hangs on it. A group has 2 to 10 parts.
- A title is at most 6 words, taken from the part's own text, different from the other titles.
- Stories, poems, letters, code and derivations have no groups. If there is nothing, reply {"groups": []}.`;

export function askForSpans(prompt: string, text: string, units: readonly Unit[]): Message[] {
  const numbered = units.map(({ start, end }, i) => `[${i + 1}] ${text.slice(start, end).trim()}`);
  return [
    { role: "system", content: spanInstructions },
    { role: "user", content: `Question:\n${prompt}\n\nAnswer:\n${numbered.join("\n")}` },
  ];
}

const voteInstructions = `You judge whether parts of an answer are independent. Each part is to be written by a writer who knows the question, the text before the parts and all titles, but none of the other parts. Reply with one word: yes if every part could be written that way just as it stands, no if any part needs, continues or refers to another one.`;

export function askForVote(
  prompt: string,
  before: string,
  branches: readonly BranchPart[],
): Message[] {
  const parts = branches.map(({ title, body }) => `--- ${title}\n${body.trim()}`).join("\n");
  return [
    { role: "system", content: voteInstructions },
    {
      role: "user",
      content: `Question:\n${prompt}\n\nText before:\n${before.slice(-2000)}\n\nParts:\n${parts}`,
    },
  ];
}
