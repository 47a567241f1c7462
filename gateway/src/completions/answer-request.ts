// A validated request for an answer, of either endpoint.
import type { NameOf } from "../api-error.ts";
import type { WorkerRequest } from "../routing/generate.ts";
import type { Settings } from "./parameters.ts";

/** One that is answered by itself. */
export interface AnswerPrompt {
  input: NonNullable<WorkerRequest["input"]>;
  /** What the client calls it: `messages`, or `prompt[1]`. */
  field: string;
  /** Bytes in UTF-8 plus an allowance for its template: at least as many as its tokens. */
  bytes: number;
}

export interface AnswerRequest {
  /** Of the completion, as clients see it. */
  id: string;
  endpoint: "chat.completions" | "completions" | "messages" | "responses";
  model: string;
  /** Several in plain completions only. */
  prompts: readonly [AnswerPrompt, ...AnswerPrompt[]];
  /** For errors. */
  nameOf: NameOf;
  /** As a prompt's `bytes`, of each declared branch, after the messages; empty if there are none. */
  branchBytes: readonly number[];
  /** The text that the classifier reads; null if there is none. */
  question: string | null;
  /** Of the chat: 1 for the first message of the user. */
  turn: number;
  settings: Settings;
}

/** How many answers `max_tokens` bounds: of choices, or of declared branches. */
export const answersOf = ({ settings, prompts, branchBytes }: AnswerRequest): number =>
  branchBytes.length > 0 ? branchBytes.length : settings.n * prompts.length;
