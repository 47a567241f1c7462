// An answer that a client gives back with its parts, as the tokens that decoding it made.
import type { AnswerPart } from "@anabranch/shared/parts.ts";
import type { Dialect } from "./dialect.ts";
import type { StageIds } from "./runs.ts";

/** The ids of one piece of text, which nothing merges into; null where they would not say it exactly. */
export type EncodePiece = (text: string) => number[] | null;

/** Ids of serial text, or a stage. */
export type AnswerIds = { serial: number[] } | { stage: StageIds };

/** Null where the dialect can't have written this answer, so that it is no more than its text. */
export function answerIds(
  parts: readonly AnswerPart[],
  dialect: Dialect,
  encode: EncodePiece,
): AnswerIds[] | null {
  if (!dialect.serialVisible || !dialect.bodyVisible) return null; // parts then lack tokens
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
    // No plan stands directly behind a join.
    if (joined || ++stages > dialect.stages) return null;
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
  encode: EncodePiece,
): StageIds | null {
  const { titleOpen, titleClose, fork, openingBefore, openingAfter, branchClose } = dialect;
  if (branches.length < 2 || branches.length > dialect.branches) return null;
  const plan: number[] = [];
  const lanes: number[][] = [];
  const titles = new Set<string>();
  for (const { title, body } of branches) {
    const name = encode(title);
    const text = encode(body);
    if (!name || !text || name.length === 0 || name.length > dialect.titleTokens) return null;
    const lane = [...openingBefore, ...name, ...openingAfter, ...text, branchClose];
    if (lane.length > dialect.branchTokens) return null;
    titles.add(name.join());
    plan.push(titleOpen, ...name, titleClose);
    lanes.push(lane);
  }
  if (titles.size < branches.length) return null;
  return { plan: [...plan, fork], branches: lanes, join: dialect.join };
}
