// What a worker needs to continue an answer that another one began.
import type { LaneLog } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import { LaneLogSchema } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { Event } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import type { Resume } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { ResumeSchema } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { create } from "@bufbuild/protobuf";

/**
 * The lanes as far as `events` report them. Null if the answer must be decoded again: nothing was
 * written yet, or its log-probabilities are wanted, which only decoding gives.
 */
export function resumeOf(events: Iterable<Event>): Resume | null {
  const resume = create(ResumeSchema);
  const lanes = new Map<number, LaneLog>();
  const laneOf = (lane: number): LaneLog => {
    const known = lanes.get(lane) ?? create(LaneLogSchema, { lane });
    lanes.set(lane, known);
    return known;
  };
  for (const { event } of events) {
    switch (event.case) {
      case "started":
        resume.promptTokenIds = event.value.promptTokenIds;
        resume.modelDigest = event.value.modelDigest;
        break;
      case "delta":
        if (event.value.logprobs.length > 0) return null;
        laneOf(event.value.lane).tokenIds.push(...event.value.tokenIds);
        break;
      case "branchAccepted":
        laneOf(event.value.lane).accepted = true;
        break;
      case "branchClosed":
        laneOf(event.value.lane).closed = event.value.reason;
        break;
      default:
        break;
    }
  }
  if (![...lanes.values()].some(({ tokenIds }) => tokenIds.length > 0)) return null;
  resume.lanes = [...lanes.values()];
  return resume;
}
