// A client of the gateway that streams chat answers of one model and measures them.
import { serverSentData } from "@anabranch/shared/server-sent-data.ts";

export const modes = ["auto", "parallel", "serial"] as const;
/** `anabranch.mode` of a request. */
export type Mode = (typeof modes)[number];

/** What all requests of a client have in common. */
export interface Asking {
  /** As the pool names it. */
  model: string;
  mode: Mode;
  temperature: number;
  /** Completion tokens of an answer, at most. */
  maxTokens: number;
  seed?: number;
}

/** One answer as a client sees it. */
export interface ChatAnswer {
  /** In document order. */
  text: string;
  /** The API's finish_reason: stop or length. */
  finish: string;
  /** From sending the request to the last byte. */
  ms: number;
  /** From sending the request to the first byte of text; null if the answer is empty. */
  firstMs: number | null;
  promptTokens: number;
  completionTokens: number;
  steps: number;
  stages: number;
  branches: number;
  visibleTokens: number;
  /** What became of each outline. */
  outlineEnds: string[];
  /** Why each plan was dropped that opened no branches. */
  droppedPlans: string[];
}

interface Chunk {
  error?: unknown;
  choices: { delta?: { content?: string | null }; finish_reason?: string | null }[];
  usage?: {
    prompt_tokens: number;
    completion_tokens: number;
    anabranch: {
      steps: number;
      stages: number;
      branches: number;
      visible_tokens: number;
      outline_ends: string[];
      dropped_plans: string[];
    };
  } | null;
}

export class ChatClient {
  readonly #url: string;
  readonly #key: string;
  readonly #asking: Asking;

  constructor(gateway: string, key: string, asking: Asking) {
    this.#url = `${gateway}/v1/chat/completions`;
    this.#key = key;
    this.#asking = asking;
  }

  /**
   * Asks one question, never answered from the gateway's cache.
   * @throws Error naming the model, with what the gateway said
   */
  async ask(prompt: string): Promise<ChatAnswer> {
    const { model, mode, temperature, maxTokens, seed } = this.#asking;
    const body = JSON.stringify({
      ...{ model, temperature, seed, max_tokens: maxTokens, stream: true },
      messages: [{ role: "user", content: prompt }],
      stream_options: { include_usage: true },
      anabranch: { mode, cache: "bypass" },
    });
    const headers = { authorization: `Bearer ${this.#key}`, "content-type": "application/json" };
    const began = performance.now();
    const response = await fetch(this.#url, { method: "POST", headers, body });
    if (!response.ok) {
      throw new Error(`${model}: ${response.status} ${await response.text()}`);
    }
    let text = "";
    let finish: string | undefined;
    let firstMs: number | null = null;
    let usage: Chunk["usage"];
    for await (const data of serverSentData(response)) {
      const chunk = data as Chunk;
      if (chunk.error) throw new Error(`${model}: ${JSON.stringify(chunk.error)}`);
      text += chunk.choices[0]?.delta?.content ?? "";
      if (text !== "") firstMs ??= performance.now() - began;
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    const ms = performance.now() - began;
    if (!usage || finish === undefined) throw new Error(`${model}: an answer ended without usage`);
    const { steps, stages, branches, visible_tokens, outline_ends, dropped_plans } =
      usage.anabranch;
    return {
      ...{ text, finish, ms, firstMs, steps, stages, branches },
      promptTokens: usage.prompt_tokens,
      completionTokens: usage.completion_tokens,
      visibleTokens: visible_tokens,
      outlineEnds: outline_ends,
      droppedPlans: dropped_plans,
    };
  }
}
