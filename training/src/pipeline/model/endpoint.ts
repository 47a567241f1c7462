// Any OpenAI-compatible endpoint: paced, retried, and remembered in a journal.
import OpenAI from "openai";
import { type Journal, replyKey } from "./journal.ts";
import type { Message } from "./prompts.ts";

export interface EndpointOptions {
  /** Up to and including /v1. */
  url: string;
  model: string;
  key: string;
  temperature: number;
  /** Requests a minute; Infinity: no limit of ours. */
  perMinute: number;
  /** How often a request is tried again after 408, 409, 429, 5xx or a broken connection. */
  retries: number;
}

const maxTokens = 1024;

/** The endpoint can't take this one request, say because it is too long; others it may. */
export class Refusal extends Error {}

const refusals = [400, 413, 422];

export class Endpoint {
  readonly #options: EndpointOptions;
  readonly #journal: Journal;
  readonly #client: OpenAI;
  #nextSlot = 0;
  /** Requests sent, retries not counted. */
  asked = 0;

  constructor(options: EndpointOptions, journal: Journal) {
    this.#options = options;
    this.#journal = journal;
    // The client waits as Retry-After says, else with growing pauses.
    this.#client = new OpenAI({
      baseURL: options.url,
      apiKey: options.key,
      maxRetries: options.retries,
    });
  }

  /**
   * One reply; from the journal where it was given before.
   * @throws Refusal for this request; Error naming the endpoint when it still fails after all retries
   */
  async reply(messages: Message[], sample: number): Promise<string> {
    const { model, temperature, url } = this.#options;
    const key = replyKey(model, messages, sample);
    const known = this.#journal.get(key);
    if (known !== undefined) return known;
    await this.#slot();
    this.asked++;
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
      throw refusals.includes(status ?? 0) ? new Refusal(message) : new Error(message);
    }
  }

  /** Requests start at least a slot apart. */
  async #slot(): Promise<void> {
    const now = Date.now();
    const at = Math.max(now, this.#nextSlot);
    this.#nextSlot = at + 60_000 / this.#options.perMinute;
    if (at > now) await new Promise((done) => setTimeout(done, at - now));
  }
}
