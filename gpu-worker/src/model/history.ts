// An answer that a client sends back with its parts, as the tokens that decoding it produced.
import type { AnswerPart } from "@anabranch/shared/parts.ts";
import type { Dialect } from "./dialect.ts";
import type { StageIds } from "./runs.ts";

/** Tokenizes a text by itself; null if decoding the ids would not give the text back. */
export type EncodeExactly = (text: string) => number[] | null;

/** Ids of serial text, or a stage. */
export type AnswerIds = { serial: number[] } | { stage: StageIds };

/** Null if the dialect can't have written this answer: then it is plain text. */
export function answerIds(
  parts: readonly AnswerPart[],
  dialect: Dialect,
  encode: EncodeExactly,
): AnswerIds[] | null {
  if (!dialect.isFullyVisible) return null;
  const out: AnswerIds[] = [];
  let stages = 0;
  let joined = false;
  for (const part of parts) {
    if ("serial" in part) {
      const serial = encode(part.serial);
      if (!serial) return null;
      if (serial.length === 0) continue;
      out.push({ serial });
      joined = false;
      continue;
    }
    // A plan can't follow a join directly.
    if (joined || ++stages > dialect.caps.stages) return null;
    const stage = stageIds(part.parallel, dialect, encode);
    if (!stage) return null;
    out.push({ stage });
    joined = true;
  }
  return out;
}

function stageIds(
  branches: readonly { title: string; body: string }[],
  dialect: Dialect,
  encode: EncodeExactly,
): StageIds | null {
  const { caps, branchClose, join } = dialect;
  if (branches.length < 2 || branches.length > caps.branches) return null;
  const titles: number[][] = [];
  const lanes: number[][] = [];
  for (const { title, body } of branches) {
    const split = dialect.showsOpening ? lead(title, body) : { title, text: body };
    if (!split) return null;
    const name = encode(split.title);
    const text = encode(split.text);
    if (!name || !text || name.length === 0 || name.length > caps.titleTokens) return null;
    titles.push(name);
    const lane = [...dialect.opening(name, titles.length), ...text, ...branchClose];
    if (lane.length > caps.branchTokens) return null;
    lanes.push(lane);
  }
  if (new Set(titles.map((title) => title.join())).size < branches.length) return null;
  return { plan: dialect.plan(titles), branches: lanes, join: [...join] };
}

/**
 * Takes the lead, with the spaces before it, off the text that begins with it; null if it does not. Titles
 * are reported without the spaces around them.
 */
function lead(title: string, body: string): { title: string; text: string } | null {
  const start = body.length - body.trimStart().length;
  const end = start + title.length;
  if (title === "" || body.slice(start, end) !== title) return null;
  return { title: body.slice(0, end), text: body.slice(end) };
}
