// Token ids to text as they arrive: a character whose bytes span tokens appears when it is complete.

/** After this many undecodable tokens they are passed on as they are. */
const MAX_CHARACTER_TOKENS = 8;

/**
 * Decodes one run of tokens incrementally: it decodes a short window with and without the newest tokens
 * and returns the difference. This works for every kind of tokenizer.
 */
export class IncrementalText {
  readonly #decode: (ids: readonly number[]) => string;
  #ids: number[] = [];
  #windowStart = 0;
  #decoded = 0; // tokens whose text has been returned

  /** @param before the tokens that the run continues, if it begins in the middle of a text */
  constructor(decode: (ids: readonly number[]) => string, before: readonly number[] = []) {
    this.#decode = decode;
    this.#ids = [...before];
    this.#decoded = before.length;
  }

  /** The text that this token completes: often one word, sometimes nothing yet. */
  push(id: number): string {
    this.#ids.push(id);
    const old = this.#decode(this.#ids.slice(this.#windowStart, this.#decoded));
    const now = this.#decode(this.#ids.slice(this.#windowStart));
    const unfinished = now.endsWith("\ufffd");
    if (unfinished && this.#ids.length - this.#decoded < MAX_CHARACTER_TOKENS) return "";
    this.#windowStart = this.#decoded;
    this.#decoded = this.#ids.length;
    return now.slice(old.length);
  }

  /** The rest at the end of the run, complete characters or not. */
  end(): string {
    const old = this.#decode(this.#ids.slice(this.#windowStart, this.#decoded));
    const now = this.#decode(this.#ids.slice(this.#windowStart));
    this.#decoded = this.#ids.length;
    return now.slice(old.length);
  }
}
