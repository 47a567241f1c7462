// The chunks of a stream, and what the gateway's JSON bodies hold.
import type { LaneMark } from "@anabranch/shared/lane-mark.ts";
import type { AnswerPart } from "@anabranch/shared/parts.ts";
import type { ToolCall } from "./request.ts";

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
  anabranch: {
    /** Decode steps. */
    steps: number;
    stages: number;
    branches: number;
    visible_tokens: number;
    cached_tokens: number;
    outline_tokens: number;
    dropped_tokens: number;
    /** Why a plan opened no branches. */
    dropped_plans: ("few_titles" | "long_title" | "no_room")[];
    /** What became of each outline. */
    outline_ends: (
      | "joined"
      | "list_ended"
      | "body_differs"
      | "no_room"
      | "no_stage"
      | "unfinished"
    )[];
  };
}

export interface TokenLogprob {
  token: string;
  logprob: number;
  bytes: number[];
  top_logprobs: { token: string; logprob: number; bytes: number[] }[];
}

/** What the classifier says of a prompt. */
export interface Classification {
  probability: number;
  speedup: number;
  mode: "serial" | "parallel";
  abstains: boolean;
  reasons: { cue: string; weight: number }[];
  version: string;
}

export type FinishReason = "stop" | "length" | "tool_calls";

/** A piece of a call: its name comes first, with its id; then its arguments, bit by bit. */
export interface ToolCallDelta {
  index: number;
  id?: string;
  function?: { name?: string; arguments?: string };
}

/** An event of a stream. */
export interface AnswerChunk {
  id: string;
  model: string;
  choices: {
    index: number;
    delta: {
      role?: "assistant";
      content?: string | null;
      reasoning_content?: string;
      tool_calls?: ToolCallDelta[];
    };
    logprobs?: { content: TokenLogprob[] } | null;
    finish_reason: FinishReason | null;
  }[];
  usage?: Usage | null;
  /** Of a `lanes` stream: where the text belongs. */
  anabranch?: Partial<LaneMark> & { classification?: Classification };
}

/** An answer that was not streamed. */
export interface Completion {
  id: string;
  model: string;
  choices: {
    finish_reason: FinishReason;
    message: {
      role: "assistant";
      content: string | null;
      reasoning_content?: string;
      tool_calls?: ToolCall[];
      anabranch: {
        parts: AnswerPart[];
        branches?: { title: string; finish_reason: "stop" | "length" }[];
      };
    };
    logprobs: { content: TokenLogprob[] } | null;
  }[];
  usage: Usage;
  anabranch?: { classification: Classification };
}

/** A model of the pool's healthy workers. */
export interface Model {
  id: string;
  object: "model";
  created: number;
  owned_by: string;
  anabranch: {
    /** Of a LoRA adapter: the model that it changes. */
    base: string | null;
    dialect: string | null;
    context_tokens: number;
    /** Served by another server with OpenAI's API. */
    upstream: boolean;
    /** For what a request leaves open. */
    sampling_defaults: Record<
      "temperature" | "top_p" | "top_k" | "min_p" | "repetition_penalty",
      number
    >;
  };
}
