// A server of the pool that speaks OpenAI's API: vLLM, SGLang, llama.cpp's server, another gateway of ours.

/** What some servers with OpenAI's API don't have. */
export const lacks = ["tools", "response_format"] as const;
export type Lack = (typeof lacks)[number];

/** What an operator says of it. */
export interface UpstreamSettings {
  id: string;
  /** What an OpenAI SDK would take as its base URL, without a trailing slash. */
  url: string;
  /** Sent as a bearer credential; null: none. */
  credential: string | null;
  /** Its models that the pool serves: our id, and the name there. null: all, under their own names. */
  models: readonly { id: string; name: string }[] | null;
  /** Requests at once from one isolate; null: no limit. */
  maxRequests: number | null;
  /** For requests that name no `max_tokens`. */
  defaultMaxTokens: number;
  /** What it does not have; absent: nothing. */
  without?: readonly Lack[];
  /** ms since the epoch. Answers from before are not served from the cache afterwards. */
  addedAt: number;
}

/** What routing knows of it, beside what it knows of every worker. */
export interface UpstreamFacts {
  /** By our id of a model: its name there. */
  names: Record<string, string>;
  /** Another gateway of ours: it streams lanes, and takes our options. */
  lanes: boolean;
  maxRequests: number | null;
  without?: readonly Lack[];
}
