// Client of an OpenAI-compatible endpoint with a rate limit, retries and a journal of replies.
import OpenAI from "openai";
import { type Journal, replyKey } from "./journal.ts";
import type { Message } from "./prompts.ts";

export interface EndpointOptions {
  /** Base URL, up to and including /v1. */
  url: string;
  model: string;
  key: string;
  temperature: number;
  /** Requests per minute, at most; Infinity for no limit. */
  perMinute: number;
  /** Retries of a request after 408, 409, 429, 5xx or a broken connection. */
  retries: number;
}

const maxTokens = 1024;

/** The endpoint refuses this request, for example because it is too long, but may accept others. */
export class Refusal extends Error {}

const refusalStatuses = [400, 413, 422];

export class Endpoint {
  readonly #options: EndpointOptions;
  readonly #journal: Journal;
  readonly #client: OpenAI;
  #nextStart = 0;
  /** Requests sent, without retries. */
  requests = 0;

  constructor(options: EndpointOptions, journal: Journal) {
    this.#options = options;
    this.#journal = journal;
    // The client waits as long as Retry-After says, or else with exponential backoff.
    this.#client = new OpenAI({
      baseURL: options.url,
      apiKey: options.key,
      maxRetries: options.retries,
    });
  }

  /**
   * One reply, from the journal if it is there.
   * @throws Refusal if the endpoint refuses the request; Error naming the endpoint if all retries fail
   */
  async reply(messages: Message[], sample: number): Promise<string> {
    const { model, temperature, url } = this.#options;
    const key = replyKey(model, messages, sample);
    const known = this.#journal.get(key);
    if (known !== undefined) return known;
    await this.#waitToStart();
    this.requests++;
    try {
      const completion = await this.#client.chat.completions.create({
        model,
        messages,
        temperature,
        seed: sample,
        max_tokens: maxTokens,
      });
      const reply = completion.choices[0]?.message.content ?? "";
      this.#journal.add(key, reply);
      return reply;
    } catch (error) {
      const message = `${url}: ${error instanceof Error ? error.message : error}`;
      const status = error instanceof OpenAI.APIError ? error.status : undefined;
      throw refusalStatuses.includes(status ?? 0) ? new Refusal(message) : new Error(message);
    }
  }

  /** Spaces the starts of requests evenly, at most `perMinute` of them. */
  async #waitToStart(): Promise<void> {
    const now = Date.now();
    const at = Math.max(now, this.#nextStart);
    this.#nextStart = at + 60_000 / this.#options.perMinute;
    if (at > now) await new Promise((done) => setTimeout(done, at - now));
  }
}
