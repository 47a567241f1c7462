import type { LaneMark } from "@anabranch/shared/lane-mark.ts";
import type { TokenLogprob } from "@anabranch/shared/proto/anabranch/v1/generate_pb.js";
import type { Change } from "./document.ts";

/** The next bit of an answer for a client: one chunk of its stream. */
export interface Fragment {
  text: string;
  logprobs: TokenLogprob[];
  /** Only in a `lanes` stream. */
  mark?: LaneMark;
}

/** Turns what happens to an answer's document into the chunks of one kind of stream. */
export interface Presenter {
  push(change: Change): Fragment[];
}
