// Stop strings: which text of a growing answer may be sent, and where a stop string ends the answer.
// A stop string cuts the document-order text, whichever lanes it lies in.
import type { AnswerDocument, TextRun } from "@anabranch/shared/answer-document.ts";
import type { TokenLogprob } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";

/** Text of one lane that can be sent now. */
export interface Release {
  lane: number;
  text: string;
  /** Of the tokens whose text starts in what has been released by now, and not before. */
  logprobs: TokenLogprob[];
}

interface VisibleToken {
  start: number; // length of the run's text before it
  logprob: TokenLogprob | undefined;
}

/** How much of one run has been released. */
interface Progress {
  characters: number;
  tokens: VisibleToken[];
  releasedTokens: number;
}

/** Length of the longest suffix of `text` that is a proper prefix of a stop string. */
function pendingSuffix(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let n = Math.min(stop.length - 1, text.length); n > longest; n--) {
      if (text.endsWith(stop.slice(0, n))) {
        longest = n;
        break;
      }
    }
  }
  return longest;
}

/**
 * The first stop string to be complete in `text`, and its start, among those that end after `after`, or null.
 * Of two that end together the longer one counts, so the result does not depend on token boundaries.
 */
function firstStop(
  text: string,
  stops: readonly string[],
  after: number,
): { at: number; stop: string } | null {
  let first: { at: number; stop: string } | null = null;
  let firstEnd = Number.POSITIVE_INFINITY;
  for (const stop of stops) {
    const at = text.indexOf(stop, Math.max(0, after - stop.length + 1));
    if (at < 0) continue;
    const end = at + stop.length;
    if (end < firstEnd || (end === firstEnd && first && at < first.at)) {
      first = { at, stop };
      firstEnd = end;
    }
  }
  return first;
}

export class StopFilter {
  readonly #document: AnswerDocument;
  readonly #stops: readonly string[];
  readonly #longest: number;
  readonly #progress = new Map<TextRun, Progress>();
  #frontier = 0; // index of the first run that may still grow
  #before = ""; // the end of the text before the frontier, as far as a stop string can reach back
  /** The run in which a stop string ended the answer. */
  #stopRun: TextRun | undefined;
  #stopString = "";
  #stopTokens = 0;

  /** Watches the text of `document`, which the caller drives. */
  constructor(document: AnswerDocument, stops: readonly string[]) {
    this.#document = document;
    this.#stops = stops.filter((stop) => stop !== "");
    this.#longest = Math.max(0, ...this.#stops.map((stop) => stop.length));
  }

  /** The lane in which a stop string ended the answer. Known once every earlier lane is closed. */
  get stopLane(): number | undefined {
    return this.#stopRun?.lane;
  }

  /** The stop string that ended the answer; empty if none did. */
  get stopString(): string {
    return this.#stopString;
  }

  /** Visible tokens of its lane up to the end of the stop string. */
  get stopTokens(): number {
    return this.#stopTokens;
  }

  /** Appends the text that a visible token completes: its own, or also that of tokens before it. */
  append(lane: number, text: string, logprob: TokenLogprob | undefined): void {
    const run = this.#document.runOf(lane);
    this.#of(run).tokens.push({ start: run.text.length, logprob });
    this.#document.apply({ case: "delta", value: { lane, text, logprobs: [] } });
  }

  /** Whether all text of a closed lane has been released: none is held back for a stop string. */
  isReleased(lane: number): boolean {
    const run = this.#document.runOf(lane);
    return run.void || (run.closed && this.#of(run).characters === run.text.length);
  }

  /** Visible tokens of the answer. Tokens after a stop string do not count. */
  get visibleTokens(): number {
    let count = 0;
    for (const run of this.#document.runs) {
      if (run.void) continue;
      const { tokens, characters } = this.#of(run);
      const cut = this.#stopRun !== undefined && characters < run.text.length;
      count += cut ? tokens.filter(({ start }) => start < characters).length : tokens.length;
      // Later lanes may have run ahead; they are not part of the answer.
      if (run === this.#stopRun) break;
    }
    return count;
  }

  /** Text that can be sent now: nothing that a stop string may still cut off. */
  release(): Release[] {
    const out: Release[] = [];
    if (this.#stopRun) return out;
    const { runs } = this.#document;
    for (; this.#frontier < runs.length; this.#frontier++) {
      const run = runs[this.#frontier];
      // Whether an outlined branch is part of the answer is not known yet.
      if (!run || !(run.accepted || run.void)) break;
      if (run.void) continue;
      const text = this.#before + run.text;
      const first = firstStop(text, this.#stops, this.#before.length);
      if (first) {
        this.#stopString = first.stop;
        const end = first.at - this.#before.length + first.stop.length;
        this.#stopTokens = this.#of(run).tokens.filter(({ start }) => start < end).length;
        this.#stopRun = this.#releaseUpTo(first.at - this.#before.length, out);
        return out;
      }
      this.#releaseUpTo(run.text.length - pendingSuffix(text, this.#stops), out);
      if (!run.closed) break;
      this.#before = this.#longest > 1 ? text.slice(-(this.#longest - 1)) : "";
    }
    // Later lanes run ahead. Each holds back what a stop string inside it could cut.
    for (const run of runs.slice(this.#frontier)) {
      if (run.void || (run === runs[this.#frontier] && run.accepted)) continue;
      const first = firstStop(run.text, this.#stops, 0);
      const end = first?.at ?? run.text.length - pendingSuffix(run.text, this.#stops);
      this.#releaseRun(run, end, out);
    }
    return out;
  }

  /** The answer has ended: unless a stop string ends it, all that was held back belongs to it. */
  flush(): Release[] {
    for (const run of this.#document.runs) {
      run.closed = true;
      if (!run.accepted) run.void = true;
    }
    const out = this.release();
    if (this.#stopRun) return out;
    for (const run of this.#document.runs) {
      if (!run.void) this.#releaseRun(run, run.text.length, out);
    }
    return out;
  }

  #of(run: TextRun): Progress {
    const known = this.#progress.get(run);
    if (known) return known;
    const progress: Progress = { characters: 0, tokens: [], releasedTokens: 0 };
    this.#progress.set(run, progress);
    return progress;
  }

  /** Releases a run's text and tokens up to an offset, as far as they were not released before. */
  #releaseRun(run: TextRun, end: number, out: Release[]): void {
    const progress = this.#of(run);
    const { tokens, releasedTokens: firstToken } = progress;
    const from = Math.min(progress.characters, end);
    const whole = run.closed && end === run.text.length;
    const isDue = (token: VisibleToken | undefined) =>
      token !== undefined && (whole || token.start < end);
    while (isDue(tokens[progress.releasedTokens])) progress.releasedTokens++;
    progress.characters = Math.max(progress.characters, end);
    if (end <= from && progress.releasedTokens === firstToken) return;
    const released = tokens.slice(firstToken, progress.releasedTokens);
    const logprobs = released.flatMap(({ logprob }) => logprob ?? []);
    out.push({ lane: run.lane, text: run.text.slice(from, end), logprobs });
  }

  /**
   * Releases the document up to an offset from the start of the frontier's run. A negative offset
   * reaches back into earlier runs, whose ends were held back because a stop string could begin there.
   * Returns the run in which the offset lies.
   */
  #releaseUpTo(offset: number, out: Release[]): TextRun | undefined {
    const ends: [TextRun, number][] = [];
    // A dropped branch is no part of the document.
    const runs = this.#document.runs.slice(0, this.#frontier + 1).filter((run) => !run.void);
    let end = offset;
    let at: TextRun | undefined;
    for (const [i, run] of [...runs.entries()].reverse()) {
      if (end >= 0) at ??= run;
      ends.push([run, Math.max(0, Math.min(run.text.length, end))]);
      end += runs[i - 1]?.text.length ?? 0;
    }
    for (const [run, to] of ends.reverse()) this.#releaseRun(run, to, out);
    return at ?? this.#document.runs[0];
  }
}
