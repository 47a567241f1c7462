// What a request says: OpenAI's fields of a chat, those of other open engines, and `anabranch`. docs/protocol.md
// describes each. `client/test/types.ts` compares these types with the gateway's OpenAPI document.
import type { AnswerPart } from "@anabranch/shared/parts.ts";

export type Content = string | { type: "text"; text: string }[];

export interface ToolCall {
  id: string;
  type: "function";
  function: {
    name: string;
    /** JSON, valid for the tool's parameters. */
    arguments: string;
  };
}

/** An answer as a message of the next request. With its structure the worker finds the KV of every branch again. */
export interface AssistantMessage {
  role: "assistant";
  content?: Content | null;
  name?: string;
  tool_calls?: ToolCall[];
  anabranch?: { parts: AnswerPart[] };
}

export type Message =
  | { role: "system" | "developer" | "user"; content: Content; name?: string }
  | AssistantMessage
  | { role: "tool"; content: Content; tool_call_id: string };

/** A JSON Schema. */
export type Schema = Record<string, unknown>;

export type ResponseFormat =
  | { type: "text" }
  | { type: "json_object" }
  | {
      type: "json_schema";
      json_schema: { name: string; description?: string; schema: Schema; strict?: boolean };
    };

export interface Tool {
  type: "function";
  function: { name: string; description?: string; parameters?: Schema; strict?: boolean };
}

export type ToolChoice =
  | "none"
  | "auto"
  | "required"
  | { type: "function"; function: { name: string } };

/** A part of the answer that the request declares: a turn of the user, answered beside the others. */
export interface DeclaredBranch {
  title: string;
  content: Content;
  response_format?: ResponseFormat;
}

/** Anabranch's own fields. */
export interface AnabranchOptions {
  /** Whether the model may open branches; default: the classifier decides. */
  mode?: "auto" | "serial" | "parallel";
  /** Per stage, at most. */
  max_branches?: number;
  max_time_per_token_ms?: number;
  cache?: "use" | "bypass";
  /** How a stream shows branches; this client's default is `lanes`. */
  stream?: "ordered" | "lanes";
  /** Have the answer carry what the classifier says of the prompt. */
  classification?: boolean;
  branches?: DeclaredBranch[];
}

/** A chat that is to be answered, once: `n`, `stream` and `stream_options` are the client's. */
export interface AnswerRequest {
  model: string;
  messages: Message[];
  max_tokens?: number;
  max_completion_tokens?: number;
  min_tokens?: number;
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  presence_penalty?: number;
  frequency_penalty?: number;
  repetition_penalty?: number;
  logit_bias?: Record<string, number>;
  /** 64 bits; a number holds 53 of them exactly. */
  seed?: number | bigint;
  stop?: string | string[];
  stop_token_ids?: number[];
  ignore_eos?: boolean;
  logprobs?: boolean;
  top_logprobs?: number;
  response_format?: ResponseFormat;
  guided_regex?: string;
  guided_choice?: string[];
  guided_json?: Schema;
  tools?: Tool[];
  tool_choice?: ToolChoice;
  parallel_tool_calls?: boolean;
  chat_template_kwargs?: Record<string, unknown>;
  user?: string;
  anabranch?: AnabranchOptions;
}

/** What is asked of one branch: a question, or one with a form for its answer. */
export type Question = string | Omit<DeclaredBranch, "title">;

/** Questions by their names, to be answered side by side after the same messages. */
export interface AskRequest<Name extends string = string>
  extends Omit<AnswerRequest, "anabranch" | "tools" | "tool_choice" | "parallel_tool_calls"> {
  branches: Record<Name, Question>;
  anabranch?: Pick<AnabranchOptions, "cache" | "max_time_per_token_ms">;
}

/** How a request is sent. */
export interface RequestOptions {
  /** Ends the request and what it waits for; what it raises is the signal's reason. */
  signal?: AbortSignal;
  /** In place of the client's own. */
  maxRetries?: number;
  timeout?: number;
  /**
   * In place of one that the client makes. null: none is sent. The answer to a key is kept for as long as the gateway
   * caches answers.
   */
  idempotencyKey?: string | null;
}
