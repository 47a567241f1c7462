// What a chunk of a `lanes` stream says about itself, in its top-level field `anabranch`.

/**
 * Why a branch ended: by the model's own marker, by an end of sequence, or by a cap on its length. A branch
 * of an outlined stage that is dropped is not part of the answer, even if it had ended before. A declared
 * branch may also end at a stop string.
 */
export type CloseReasonWord = "marker" | "eos" | "cap" | "dropped" | "stop";

const words: readonly (CloseReasonWord | null)[] = [
  null,
  "marker",
  "eos",
  "cap",
  "dropped",
  "stop",
];

/** The word for a CloseReason of the wire (answer.proto). Words pass unchanged. */
export function closeReasonWord(reason: number | CloseReasonWord | null): CloseReasonWord | null {
  return typeof reason === "number" ? (words[reason] ?? null) : reason;
}

/** The CloseReason of the wire for a word; 0 if there is none. */
export const closeReasonOf = (word: CloseReasonWord | null): number =>
  Math.max(0, words.indexOf(word));

export type LaneEventName =
  | "delta"
  | "stage_opened"
  | "branch_accepted"
  | "branch_closed"
  | "stage_closed";

export interface LaneMark {
  event: LaneEventName;
  /** The lane of the text or of the branch; 0 for the events of a stage. */
  lane: number;
  /** The branch's stage, or the stage opened or closed; null for the trunk. */
  stage: number | null;
  /** The branch's title; null for the trunk and for a stage. */
  title: string | null;
  /** stage_opened: its branches, in document order. */
  lanes?: number[];
  /** stage_opened: their titles, in the same order. */
  titles?: string[];
  /** stage_opened: its branches are part of the answer once they are accepted. */
  outlined?: boolean;
  /** stage_opened: the request declared its branches; the answer's text has each under its title. */
  declared?: boolean;
  /** branch_closed: why. */
  reason?: CloseReasonWord | null;
  /**
   * In the last chunk, if a stop string ended the answer inside a stage: what comes after this lane in
   * document order is not part of the answer.
   */
  stop_lane?: number;
}
