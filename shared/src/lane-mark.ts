// What a chunk of a `lanes` stream says about itself, in its top-level field `anabranch`.

export type LaneEventName = "delta" | "stage_opened" | "branch_closed" | "stage_closed";

export interface LaneMark {
  event: LaneEventName;
  /** The lane whose text this is; the stage's parent lane where the event is a stage's. */
  lane: number;
  /** The branch's stage, or the stage opened or closed; null for the trunk. */
  stage: number | null;
  /** The branch's title; null for the trunk and for a stage. */
  title: string | null;
  /** stage_opened: its branches, in document order. */
  lanes?: number[];
  /** stage_opened: their titles, in the same order. */
  titles?: string[];
  /** branch_closed: the model's own marker, an end of sequence, or a cap. */
  reason?: "marker" | "eos" | "cap" | null;
  /** In the last chunk, where a stop string ended the answer inside a stage: what stands behind
   * this lane in document order is not part of the answer. */
  stop_lane?: number;
}
