// The text of one answer in document order (serial text, then branch bodies in title order), built
// from lanes that grow at the same time, and cut where a stop string first stands in it.
import type { TokenLogprob } from "@anabranch/shared/proto/anabranch/v1/generate_pb.js";

/** A run of one lane's visible text: a stretch of the trunk, or a branch's body. */
interface Piece {
  lane: number;
  text: string;
  released: number; // characters given out
  closed: boolean;
  tokens: VisibleToken[];
  told: number; // tokens given out with their text
}

interface VisibleToken {
  start: number; // text length before it
  logprob: TokenLogprob | undefined;
}

export interface Release {
  lane: number;
  text: string;
  /** Of the tokens whose text begins in what was given out by now, and not before. */
  logprobs: TokenLogprob[];
}

/** The piece's text and tokens up to an offset, as far as they were not given out; null for nothing. */
function giveOut(piece: Piece, to: number): Release | null {
  const from = Math.min(piece.released, to);
  const whole = piece.closed && to === piece.text.length;
  const told = piece.told;
  for (let next = piece.tokens[told]; next && (whole || next.start < to); ) {
    next = piece.tokens[++piece.told];
  }
  piece.released = Math.max(piece.released, to);
  if (to <= from && piece.told === told) return null;
  const logprobs = piece.tokens.slice(told, piece.told).flatMap(({ logprob }) => logprob ?? []);
  return { lane: piece.lane, text: piece.text.slice(from, to), logprobs };
}

/** Length of the longest suffix of `text` that a stop string begins with, whole stops excluded. */
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
 * Start of the stop string that is complete first in `text`, of those that end after `after`, or
 * -1. Of two that end together the longer one counts. The choice does not depend on how the text
 * was cut into tokens.
 */
function firstStop(text: string, stops: readonly string[], after: number): number {
  let first = -1;
  let firstEnd = Number.POSITIVE_INFINITY;
  for (const stop of stops) {
    const at = text.indexOf(stop, Math.max(0, after - stop.length + 1));
    if (at < 0) continue;
    const end = at + stop.length;
    if (end < firstEnd || (end === firstEnd && at < first)) {
      first = at;
      firstEnd = end;
    }
  }
  return first;
}

export class AnswerDocument {
  readonly #stops: readonly string[];
  readonly #longest: number;
  readonly #pieces: Piece[] = [];
  readonly #current = new Map<number, Piece>(); // by lane
  #frontier = 0; // the first piece not known to be whole
  #before = ""; // the end of the document before the frontier, as long as a stop can reach back
  #stopLane: number | undefined;

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
    this.#longest = Math.max(0, ...this.#stops.map((stop) => stop.length));
    this.open(0);
  }

  /** The lane in which a stop string ended the document, once every earlier lane is closed. */
  get stopLane(): number | undefined {
    return this.#stopLane;
  }

  /** A new piece at the document's end: the trunk after a join, or the next branch. */
  open(lane: number): void {
    const piece: Piece = { lane, text: "", released: 0, closed: false, tokens: [], told: 0 };
    this.#pieces.push(piece);
    this.#current.set(lane, piece);
  }

  /** Text that a visible token completes: its own, or also that of those before it. */
  append(lane: number, text: string, logprob: TokenLogprob | undefined): void {
    const piece = this.#current.get(lane);
    piece?.tokens.push({ start: piece.text.length, logprob });
    this.appendRest(lane, text);
  }

  /** What is left of the lane's tokens where their run ends. */
  appendRest(lane: number, text: string): void {
    const piece = this.#current.get(lane);
    if (piece) piece.text += text;
  }

  close(lane: number): void {
    const piece = this.#current.get(lane);
    if (piece) piece.closed = true;
  }

  /** Whether a lane is closed and all its text was given out: none held back for a stop string. */
  isReleased(lane: number): boolean {
    const piece = this.#current.get(lane);
    return piece === undefined || (piece.closed && piece.released === piece.text.length);
  }

  /** Visible tokens that the document holds, a cut one's later tokens left out. */
  get visibleTokens(): number {
    let count = 0;
    for (const piece of this.#pieces) {
      const cut = this.#stopLane !== undefined && piece.released < piece.text.length;
      count += cut
        ? piece.tokens.filter(({ start }) => start < piece.released).length
        : piece.tokens.length;
    }
    return count;
  }

  /** Text that can be given out now, by lane: nothing that a stop string may yet cut off. */
  release(): Release[] {
    const out: Release[] = [];
    if (this.#stopLane !== undefined) return out;
    const give = (piece: Piece, to: number) => {
      const given = giveOut(piece, to);
      if (given) out.push(given);
    };
    for (; this.#frontier < this.#pieces.length; this.#frontier++) {
      const piece = this.#pieces[this.#frontier];
      if (!piece) break;
      const text = this.#before + piece.text;
      const stop = firstStop(text, this.#stops, this.#before.length);
      if (stop >= 0) {
        this.#stopLane = this.#giveUpTo(stop - this.#before.length, give);
        return out;
      }
      this.#giveUpTo(piece.text.length - pendingSuffix(text, this.#stops), give);
      if (!piece.closed) break;
      this.#before = this.#longest > 1 ? text.slice(-(this.#longest - 1)) : "";
    }
    // Later lanes run ahead; each holds back what a stop string in it could cut.
    for (const piece of this.#pieces.slice(this.#frontier + 1)) {
      const stop = firstStop(piece.text, this.#stops, 0);
      give(piece, stop >= 0 ? stop : piece.text.length - pendingSuffix(piece.text, this.#stops));
    }
    return out;
  }

  /** The answer has ended without a stop string: everything held back belongs to it. */
  flush(): Release[] {
    for (const piece of this.#pieces) piece.closed = true;
    const out = this.release();
    if (this.#stopLane !== undefined) return out;
    for (const piece of this.#pieces) {
      const given = giveOut(piece, piece.text.length);
      if (given) out.push(given);
    }
    return out;
  }

  /**
   * Gives out the document up to an offset from the frontier piece's start. A negative one reaches
   * back into earlier pieces, whose ends were held while a stop string could still begin there.
   * Returns the lane in which that offset lies.
   */
  #giveUpTo(offset: number, give: (piece: Piece, to: number) => void): number {
    const held: [Piece, number][] = [];
    let end = offset;
    let lane: number | undefined;
    for (let i = this.#frontier; i >= 0; i--) {
      const piece = this.#pieces[i];
      if (!piece) break;
      if (end >= 0) lane ??= piece.lane;
      held.push([piece, Math.max(0, Math.min(piece.text.length, end))]);
      end += this.#pieces[i - 1]?.text.length ?? 0;
    }
    for (const [piece, to] of held.reverse()) give(piece, to);
    return lane ?? 0;
  }
}
