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
   * @throws Error naming the endpoint when it still refuses after all retries
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
      throw new Error(`${url}: ${error instanceof Error ? error.message : error}`);
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
