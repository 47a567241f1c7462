import type { LaneMark } from "@anabranch/shared/lane-mark.ts";
import type { FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import {
  PlanDrop,
  FinishReason as Reason,
} from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { ToolFormat } from "@anabranch/shared/tool-formats.ts";
import type { ChoiceDocument, Fragment } from "../aggregation/presenter.ts";
import type { Counts } from "../usage/counts.ts";

/** How one endpoint renders an answer. */
export interface Renderer {
  /** @param toolFormat how the choice's calls of tools are written, once it has begun */
  choice(index: number, toolFormat: () => ToolFormat | undefined): ChoiceRenderer;
  usage(counts: Counts): object;
  /** The body of an answer that is not streamed, from the `whole` of its choices. */
  whole(choices: readonly object[], counts: Counts): object;
}

/** How it renders one choice: as chunks that hold this choice alone, or whole. */
export interface ChoiceRenderer {
  /** The first chunk of a stream; null if there is none. */
  opening(mark: LaneMark | undefined): object | null;
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

export const planDropWords = ["few_titles", "long_title"] as const;

const planDropWord = (reason: PlanDrop): (typeof planDropWords)[number] =>
  reason === PlanDrop.LONG_TITLE ? "long_title" : "few_titles";

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
    },
  };
}
