const everyMs = 5_000;

/** Says on stderr how far a long run is and how long the rest may take, at most every five seconds. */
export class RunProgress {
  readonly #total: number;
  readonly #what: string;
  readonly #began = performance.now();
  #done = 0;
  #said = this.#began;

  /** @param what it counts, such as "answers" */
  constructor(total: number, what: string) {
    this.#total = total;
    this.#what = what;
  }

  get seconds(): number {
    return (performance.now() - this.#began) / 1_000;
  }

  /** One more is done. `note` is said after the count. */
  step(note = ""): void {
    this.#done++;
    const now = performance.now();
    if (now - this.#said < everyMs && this.#done < this.#total) return;
    this.#said = now;
    const left = Math.ceil((this.seconds / this.#done) * (this.#total - this.#done));
    process.stderr.write(
      `  ${this.#done} of ${this.#total} ${this.#what}${note}, ${left} s left\n`,
    );
  }
}
