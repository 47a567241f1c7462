// How an answer's document becomes the chunks of one kind of stream.
import type { AnswerDocument, Change, TextRun } from "@anabranch/shared/answer-document.ts";
import type { LaneMark } from "@anabranch/shared/lane-mark.ts";
import type { TokenLogprob } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";

export type AnswerChange = Change<TokenLogprob>;
export type AnswerRun = TextRun<TokenLogprob>;
export type ChoiceDocument = AnswerDocument<TokenLogprob>;

/** The next bit of an answer for a client: one chunk of its stream. */
export interface Fragment {
  text: string;
  logprobs: readonly TokenLogprob[];
  /** Only in a `lanes` stream. */
  mark?: LaneMark;
}

/** Turns the changes of an answer's document into the chunks of one kind of stream. */
export interface Presenter {
  push(change: AnswerChange): Fragment[];
  /** The marks of the stream's first and last chunk, if its chunks have marks. */
  readonly openingMark?: LaneMark;
  closingMark?(stoppedIn: AnswerRun | null): LaneMark;
}
