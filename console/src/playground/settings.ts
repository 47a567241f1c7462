// What a request is made of beside its messages.
import type { Schemas } from "../api/client.ts";
import { storedFields } from "../stored.ts";

export const modes = ["auto", "serial", "parallel"] as const;
export type Mode = (typeof modes)[number];

export interface Settings {
  model: string;
  mode: Mode;
  /** null, here and below: left to the model. */
  temperature: number | null;
  topP: number | null;
  maxTokens: number | null;
  maxBranches: number | null;
  seed: number | null;
  system: string;
  /** Answers that were given before may be given again. */
  cache: boolean;
  /** Both sides of a race run at the same time. */
  together: boolean;
}

export const settings = storedFields<Settings>("anabranch.settings", {
  ...{ model: "", mode: "auto", temperature: 0, topP: null, maxTokens: 1024 },
  ...{ maxBranches: null, seed: null, system: "", cache: false, together: true },
});

export function set(changes: Partial<Settings>): void {
  settings.value = { ...settings.value, ...changes };
}

export interface DeclaredBranch {
  title: string;
  content: string;
}

export type ChatRequest = Schemas["ChatCompletionRequest"];
export type Message = ChatRequest["messages"][number];

/** What one asks now. */
export interface Question {
  /** With declared branches: what all of them share. */
  prompt: string;
  branches: readonly DeclaredBranch[];
}

/** The request of `question` after `history`, in `mode`. */
export function chatRequest(
  { prompt, branches }: Question,
  history: readonly Message[],
  mode: Mode,
  given: Settings = settings.value,
): ChatRequest {
  const declared = branches.length > 0;
  // A declared branch is a turn of the user, so what they share comes before it, in the system's words.
  const system = [given.system, declared ? prompt : ""].filter((text) => text.trim() !== "");
  const messages: Message[] = [
    ...(system.length > 0 ? [{ role: "system" as const, content: system.join("\n\n") }] : []),
    ...history,
    ...(declared ? [] : [{ role: "user" as const, content: prompt }]),
  ];
  return {
    ...{ model: given.model, messages, stream: true, stream_options: { include_usage: true } },
    ...(given.temperature !== null && { temperature: given.temperature }),
    ...(given.topP !== null && { top_p: given.topP }),
    ...(given.maxTokens !== null && { max_tokens: given.maxTokens }),
    ...(given.seed !== null && { seed: given.seed }),
    anabranch: {
      stream: "lanes",
      ...(declared ? { branches: [...branches] } : { mode }),
      ...(!declared && given.maxBranches !== null && { max_branches: given.maxBranches }),
      ...(given.cache ? {} : { cache: "bypass" as const }),
    },
  };
}
