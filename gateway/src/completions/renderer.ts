import type { LaneMark } from "@anabranch/shared/lane-mark.ts";
import type { AnswerPart } from "@anabranch/shared/parts.ts";
import type { FinishReason, OutlineEnd } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import {
  PlanDrop,
  FinishReason as Reason,
} from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { Echo, TokenLogprob } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import type { ChoiceDocument, Fragment } from "../aggregation/presenter.ts";
import type { ApiError } from "../api-error.ts";
import type { Counts } from "../usage/counts.ts";
import type { AnswerForm } from "./answer-reader.ts";

/** What is known of a choice, once it has begun or, at the end, of all of it. */
export interface ChoiceFacts extends AnswerForm {
  readonly counts: Counts;
  readonly document: ChoiceDocument;
  /** The stop string that ended it; empty: none did. */
  readonly stopString: string;
  /** The prompt, if the answer begins with it; null if not, or not yet. */
  readonly echo: Echo | null;
  /** The token that ended it, which is no text, if its log-probability was requested. */
  readonly end: TokenLogprob | undefined;
}

/** How one endpoint renders an answer. */
export interface Renderer {
  choice(index: number, facts: ChoiceFacts): ChoiceRenderer;
  /** A stream's events after those of its choices. */
  ending(counts: Counts): object[];
  /** Whether a stream's events are named by their `type`. If not, it closes with `[DONE]`. */
  readonly named: boolean;
  /** The body, or the last event of a stream, of an answer that fails. */
  failure(error: ApiError, streamed: boolean): object;
  /** Called before the end is sent. */
  keep?(): Promise<void>;
  /** The body of an answer that is not streamed, from the `whole` of its choices. */
  whole(choices: readonly object[], counts: Counts): object;
}

/** How it renders one choice: as chunks that hold this choice alone, or whole. */
export interface ChoiceRenderer {
  /** The first chunks of a stream, once the choice has begun. */
  opening(mark: LaneMark | undefined): object[];
  fragment(fragment: Fragment): object[];
  /** Text that was held back, and the chunk that carries the finish reason. */
  closing(reason: FinishReason, mark: LaneMark | undefined): object[];
  whole(document: ChoiceDocument, reason: FinishReason): object;
}

/** @param calls of tools, with which the answer ends if it has any */
export function finishWord(reason: FinishReason, calls = 0): "stop" | "length" | "tool_calls" {
  if (reason !== Reason.STOP) return "length";
  return calls > 0 ? "tool_calls" : "stop";
}

export const planDropWords = ["few_titles", "long_title", "no_room"] as const;

function planDropWord(reason: PlanDrop): (typeof planDropWords)[number] {
  if (reason === PlanDrop.NO_ROOM) return "no_room";
  return reason === PlanDrop.LONG_TITLE ? "long_title" : "few_titles";
}

export const outlineEndWords = [
  "joined",
  "list_ended",
  "body_differs",
  "no_room",
  "no_stage",
  "unfinished",
] as const;

/** Null: an end that this gateway does not know. */
const outlineEndWord = (end: OutlineEnd): (typeof outlineEndWords)[number] | null =>
  outlineEndWords[end - 1] ?? null;

/** OpenAI's usage block, with ours inside. */
export function usageBlock(counts: Counts) {
  return {
    prompt_tokens: counts.promptTokens,
    completion_tokens: counts.completionTokens,
    total_tokens: counts.promptTokens + counts.completionTokens,
    prompt_tokens_details: { cached_tokens: counts.cachedTokens },
    anabranch: {
      steps: counts.steps,
      stages: counts.stages,
      branches: counts.branches,
      visible_tokens: counts.visibleTokens,
      cached_tokens: counts.cachedTokens,
      outline_tokens: counts.outlineTokens,
      dropped_tokens: counts.droppedTokens,
      dropped_plans: counts.droppedPlans.map(planDropWord),
      outline_ends: counts.outlineEnds.map(outlineEndWord).filter((end) => end !== null),
    },
  };
}

/** The answer with its structure: `content` is its text without what the model thinks and calls. */
export function structureOf(
  { text, parts, stages }: ChoiceDocument,
  content: string,
  shown: (logprobs: readonly TokenLogprob[]) => object | null,
) {
  const branches = stages
    .filter((stage) => stage.declared)
    .flatMap((stage) => stage.branches)
    .map((branch) => ({
      title: branch.title ?? "",
      finish_reason: branch.reason === "cap" ? "length" : "stop",
      logprobs: shown(branch.logprobs),
    }));
  const said = text === content ? parts : partsAfter(parts, text, content);
  return { parts: said, ...(branches.length > 0 && { branches }) };
}

/** The parts of an answer that thinks first; one part if there is more to it. */
function partsAfter(parts: readonly AnswerPart[], text: string, content: string): AnswerPart[] {
  const [first, ...others] = parts;
  const before = text.length - content.length;
  if (text.endsWith(content) && first && "serial" in first && first.serial.length >= before) {
    const serial = first.serial.slice(before);
    return serial === "" ? others : [{ serial }, ...others];
  }
  return content === "" ? [] : [{ serial: content }];
}
