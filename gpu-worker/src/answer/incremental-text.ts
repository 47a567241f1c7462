// Ids to text as they come: a character whose bytes span tokens appears when it is whole.

/** How many undecodable tokens are held before they are let through as they are. */
const LONGEST_CHARACTER_TOKENS = 8;

/**
 * Decodes one run of tokens incrementally, by the difference between decoding a short window with
 * and without the newest tokens; works for every kind of tokenizer.
 */
export class IncrementalText {
  readonly #decode: (ids: readonly number[]) => string;
  #ids: number[] = [];
  #before = 0; // start of the window
  #read = 0; // tokens whose text has been given out

  constructor(decode: (ids: readonly number[]) => string) {
    this.#decode = decode;
  }

  /** Text that is complete with this token; often one word, sometimes nothing yet. */
  push(id: number): string {
    this.#ids.push(id);
    const old = this.#decode(this.#ids.slice(this.#before, this.#read));
    const now = this.#decode(this.#ids.slice(this.#before));
    const unfinished = now.endsWith("\ufffd");
    if (unfinished && this.#ids.length - this.#read < LONGEST_CHARACTER_TOKENS) return "";
    this.#before = this.#read;
    this.#read = this.#ids.length;
    return now.slice(old.length);
  }

  /** What is left at the end of the run, whole or not. */
  end(): string {
    const old = this.#decode(this.#ids.slice(this.#before, this.#read));
    const now = this.#decode(this.#ids.slice(this.#before));
    this.#read = this.#ids.length;
    return now.slice(old.length);
  }
}
