import type { LaneMark } from "@anabranch/shared/lane-mark.ts";
import type { FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import { FinishReason as Reason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { ChoiceDocument, Fragment } from "../aggregation/presenter.ts";
import type { Counts } from "../usage/account.ts";

/** How one endpoint writes an answer down. */
export interface Renderer {
  choice(index: number): ChoiceRenderer;
  usage(counts: Counts): object;
  /** The body of an answer that is not streamed, of its choices' `whole`. */
  whole(choices: readonly object[], counts: Counts): object;
}

/** How it writes one choice: as chunks, each with that choice alone, or whole. */
export interface ChoiceRenderer {
  /** What opens a stream; null where nothing does. */
  opening(mark: LaneMark | undefined): object | null;
  fragment(fragment: Fragment): object;
  /** The chunk that carries the finish reason. */
  closing(reason: FinishReason, mark: LaneMark | undefined): object;
  whole(document: ChoiceDocument, reason: FinishReason): object;
}

export function finishWord(reason: FinishReason): "stop" | "length" {
  return reason === Reason.STOP ? "stop" : "length";
}

/** OpenAI's usage block, and ours in it. */
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
    },
  };
}
