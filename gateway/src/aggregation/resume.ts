// What a worker needs to go on with an answer that another one began.
import type {
  Event,
  LanePrefix,
  Resume,
} from "@anabranch/shared/proto/anabranch/v1/generate_pb.js";
import {
  LanePrefixSchema,
  ResumeSchema,
} from "@anabranch/shared/proto/anabranch/v1/generate_pb.js";
import { create } from "@bufbuild/protobuf";

/**
 * The lanes as far as they were told. Null where the answer must be decoded anew: nothing was written
 * yet, or its log-probabilities, which only decoding gives, are wanted.
 */
export function resumeOf(told: Iterable<Event>): Resume | null {
  const resume = create(ResumeSchema);
  const lanes = new Map<number, LanePrefix>();
  const laneOf = (lane: number): LanePrefix => {
    const known = lanes.get(lane) ?? create(LanePrefixSchema, { lane });
    lanes.set(lane, known);
    return known;
  };
  for (const { event } of told) {
    switch (event.case) {
      case "started":
        resume.promptTokenIds = event.value.promptTokenIds;
        resume.modelDigest = event.value.modelDigest;
        break;
      case "delta":
        if (event.value.logprobs.length > 0) return null;
        laneOf(event.value.lane).tokenIds.push(...event.value.tokenIds);
        break;
      case "stageOpened":
        for (const lane of event.value.lanes) laneOf(lane).stage = event.value.stage;
        break;
      case "branchClosed":
        laneOf(event.value.lane).reason = event.value.reason;
        break;
      default:
        break;
    }
  }
  if (![...lanes.values()].some(({ tokenIds }) => tokenIds.length > 0)) return null;
  resume.lanes = [...lanes.values()];
  return resume;
}
