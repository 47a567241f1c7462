// An answer as a document: the log of lane events put into document order.
import type { AnswerPart, BranchPart } from "@anabranch/shared/parts.ts";
import type {
  Event,
  Finished,
  TokenLogprob,
} from "@anabranch/shared/proto/anabranch/v1/generate_pb.js";
import { CloseReason } from "@anabranch/shared/proto/anabranch/v1/generate_pb.js";

/** A run of one lane's text that stands in one place of the document. */
export interface Piece {
  readonly lane: number;
  /** The branch's stage; null in the trunk. */
  readonly stage: number | null;
  readonly title: string | null;
  /** No more text is to come. */
  closed: boolean;
  /** Behind a stop string, so not part of the answer. */
  void: boolean;
  text: string;
  logprobs: TokenLogprob[];
}

/** What one event did to the document. */
export type Change =
  | { kind: "text"; piece: Piece; text: string; logprobs: TokenLogprob[] }
  | { kind: "stage_opened"; stage: number; parent: Piece; branches: Piece[] }
  | { kind: "branch_closed"; piece: Piece; reason: CloseReason }
  | { kind: "stage_closed"; stage: number; parent: Piece }
  | { kind: "finished"; finished: Finished; stoppedIn: Piece | null };

/** Counts for an answer that never came to its Finished event. */
export interface Tally {
  completionTokens: number;
  visibleTokens: number;
  stages: number;
  branches: number;
  /** Trunk tokens and every stage's longest branch: what the lanes cannot have taken fewer than. */
  steps: number;
}

interface LaneTally {
  stage: number;
  tokens: number;
}

/** A worker sent an event that fits no answer. */
export class LaneEventError extends Error {
  override readonly name = "LaneEventError";
}

export class AnswerDocument {
  /** In document order. */
  readonly pieces: Piece[] = [];
  /** Where each lane's text goes now. */
  readonly #current = new Map<number, Piece>();
  /** stage → its parent lane and the piece in which that lane will go on. */
  readonly #open = new Map<number, { parent: number; tail: Piece }>();
  readonly #lanes = new Map<number, LaneTally>();
  #visibleTokens = 0;
  #stages = 0;
  #branches = 0;

  constructor() {
    const trunk = piece(0, null, null);
    this.pieces.push(trunk);
    this.#current.set(0, trunk);
    this.#lanes.set(0, { stage: 0, tokens: 0 });
  }

  /** Applies one event; null where the document is as before. Throws LaneEventError. */
  apply(event: Event): Change | null {
    const { event: it } = event;
    switch (it.case) {
      case "delta": {
        const { lane, text, logprobs } = it.value;
        const at = this.#at(lane);
        const tally = this.#lanes.get(lane);
        if (tally) tally.tokens += it.value.tokenIds.length;
        this.#visibleTokens += it.value.visibleTokens;
        if (text === "" && logprobs.length === 0) return null;
        at.text += text;
        at.logprobs.push(...logprobs);
        return { kind: "text", piece: at, text, logprobs };
      }
      case "stageOpened": {
        const { stage, parentLane, lanes, titles } = it.value;
        const parent = this.#at(parentLane);
        const branches = lanes.map((lane, index) => {
          if (this.#current.has(lane)) throw new LaneEventError(`lane ${lane} was opened twice`);
          const branch = piece(lane, stage, titles[index] ?? null);
          this.#current.set(lane, branch);
          this.#lanes.set(lane, { stage, tokens: 0 });
          return branch;
        });
        // Held-back text of the parent may still come while the stage is open: it belongs before
        // the stage, so the parent moves on to its tail only when the stage closes.
        const tail = piece(parent.lane, parent.stage, parent.title);
        this.pieces.splice(this.pieces.indexOf(parent) + 1, 0, ...branches, tail);
        this.#open.set(stage, { parent: parentLane, tail });
        parent.closed = true;
        this.#stages++;
        this.#branches += branches.length;
        return { kind: "stage_opened", stage, parent, branches };
      }
      case "branchClosed": {
        const { lane, reason } = it.value;
        const branch = this.#at(lane);
        branch.closed = true;
        return { kind: "branch_closed", piece: branch, reason };
      }
      case "stageClosed": {
        const { stage } = it.value;
        const open = this.#open.get(stage);
        if (!open) throw new LaneEventError(`stage ${stage} was closed but is not open`);
        this.#open.delete(stage);
        this.#current.set(open.parent, open.tail);
        // A stage that is over has no open branch, whatever was or was not said of each.
        for (const each of this.pieces) if (each.stage === stage) each.closed = true;
        return { kind: "stage_closed", stage, parent: open.tail };
      }
      case "finished": {
        const { stopLane } = it.value;
        const stoppedIn = stopLane === undefined ? null : this.#at(stopLane);
        let past = false;
        for (const each of this.pieces) {
          each.closed = true;
          each.void = past;
          if (each === stoppedIn) past = true;
        }
        return { kind: "finished", finished: it.value, stoppedIn };
      }
      default:
        return null;
    }
  }

  /** Serial text and branch bodies in title order. */
  get text(): string {
    return this.pieces.map((each) => (each.void ? "" : each.text)).join("");
  }

  /** The same with its structure; texts and bodies in order are `text`. */
  get parts(): AnswerPart[] {
    const parts: AnswerPart[] = [];
    const stages = new Map<number, BranchPart[]>();
    for (const { stage, title, text, void: past } of this.pieces) {
      if (past) continue;
      if (stage === null) {
        if (text !== "") parts.push({ serial: text });
        continue;
      }
      const branches = stages.get(stage) ?? [];
      if (!stages.has(stage)) parts.push({ parallel: branches });
      stages.set(stage, branches);
      branches.push({ title: title ?? "", body: text });
    }
    return parts;
  }

  get logprobs(): TokenLogprob[] {
    return this.pieces.flatMap((each) => (each.void ? [] : each.logprobs));
  }

  get tally(): Tally {
    let completionTokens = 0;
    let steps = 0;
    const longest = new Map<number, number>();
    for (const { stage, tokens } of this.#lanes.values()) {
      completionTokens += tokens;
      if (stage === 0) steps += tokens;
      else longest.set(stage, Math.max(longest.get(stage) ?? 0, tokens));
    }
    for (const tokens of longest.values()) steps += tokens;
    return {
      completionTokens,
      visibleTokens: this.#visibleTokens,
      stages: this.#stages,
      branches: this.#branches,
      steps,
    };
  }

  #at(lane: number): Piece {
    const at = this.#current.get(lane);
    if (!at) throw new LaneEventError(`an event names lane ${lane}, which was never opened`);
    return at;
  }
}

function piece(lane: number, stage: number | null, title: string | null): Piece {
  return { lane, stage, title, closed: false, void: false, text: "", logprobs: [] };
}

/** The word that clients are told for why a branch ended. */
export function closeReason(reason: CloseReason): "marker" | "eos" | "cap" | null {
  switch (reason) {
    case CloseReason.MARKER:
      return "marker";
    case CloseReason.EOS:
      return "eos";
    case CloseReason.CAP:
      return "cap";
    default:
      return null;
  }
}
