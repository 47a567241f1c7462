import { AnswerDocument } from "@anabranch/shared/answer-document.ts";
import { CloseReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import { type Event, EventSchema } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { TokenTally } from "../usage/token-tally.ts";
import { Replay, ReplayError } from "./replay.ts";
import { resumeOf } from "./resume.ts";

type EventInit = NonNullable<MessageInitShape<typeof EventSchema>["event"]>;
const event = (init: EventInit): Event => create(EventSchema, { event: init });
const delta = (lane: number, text: string, tokenIds = [...text].map((c) => c.charCodeAt(0))) =>
  event({ case: "delta", value: { lane, text, tokenIds, visibleTokens: tokenIds.length } });
const opened = event({
  case: "stageOpened",
  value: { stage: 1, lanes: [1, 2], titles: ["A", "B"] },
});
const closed = (lane: number) =>
  event({ case: "branchClosed", value: { lane, reason: CloseReason.EOS } });
const stageClosed = event({ case: "stageClosed", value: { stage: 1 } });

const answer = [
  delta(0, "in"),
  opened,
  delta(1, "a1"),
  delta(2, "b1"),
  delta(1, "a2"),
  closed(1),
  delta(2, "b2"),
  closed(2),
  stageClosed,
  delta(0, "out"),
];

function documentOf(events: readonly Event[]) {
  const document = new AnswerDocument();
  const tally = new TokenTally();
  for (const each of events) {
    document.apply(each.event);
    tally.add(each);
  }
  return { text: document.text, tally: tally.counts };
}

describe("a replay", () => {
  it("continues wherever the first run was lost", () => {
    for (let lost = 0; lost <= answer.length; lost++) {
      const sent = answer.slice(0, lost);
      const replay = new Replay(sent);
      const rest = answer.flatMap((each) => replay.rest(each) ?? []);
      expect(rest).toHaveLength(answer.length - lost);
      expect(documentOf([...sent, ...rest])).toEqual(documentOf(answer));
    }
  });

  it("continues if the second run splits its deltas elsewhere", () => {
    const sent = [delta(0, "in"), opened, delta(1, "a1"), delta(2, "b"), delta(1, "a")];
    const again = [
      ...[delta(0, "i"), delta(0, "n"), opened, delta(2, "b1b2"), delta(1, "a1a2")],
      ...[closed(1), closed(2), stageClosed, delta(0, "out")],
    ];
    const replay = new Replay(sent);
    const rest = again.flatMap((each) => replay.rest(each) ?? []);
    expect(documentOf([...sent, ...rest]).text).toBe("ina1a2b1b2out");
  });

  it("handles text that lags behind its tokens", () => {
    const sent = [delta(0, "", [1, 2]), delta(0, "ab", [3])];
    const replay = new Replay(sent);
    const rest = [delta(0, "a", [1, 2, 3]), delta(0, "bcd", [4])].flatMap(
      (each) => replay.rest(each) ?? [],
    );
    expect(rest.map(({ event: it }) => it.value)).toMatchObject([{ text: "cd", tokenIds: [4] }]);
  });

  it("refuses a run that says something else", () => {
    expect(() => new Replay(answer).rest(delta(0, "on"))).toThrow(ReplayError);
    expect(() => new Replay(answer).rest(delta(0, "in", [1, 2]))).toThrow(ReplayError);
  });
});

describe("what another worker needs to resume an answer", () => {
  const started = event({
    case: "started",
    value: { promptTokenIds: [7, 8], modelDigest: "d", promptTokens: 2 },
  });

  it("is its prompt, its model and each lane's tokens", () => {
    const ids = (text: string) => [...text].map((c) => c.charCodeAt(0));
    expect(resumeOf([started, ...answer.slice(0, 7)])).toMatchObject({
      ...{ promptTokenIds: [7, 8], modelDigest: "d" },
      lanes: [
        { lane: 0, tokenIds: ids("in"), closed: 0 },
        { lane: 1, tokenIds: ids("a1a2"), closed: CloseReason.EOS },
        { lane: 2, tokenIds: ids("b1b2"), closed: 0 },
      ],
    });
  });

  it("knows hidden lanes, and which outlined branches were accepted or dropped", () => {
    const hidden = event({ case: "delta", value: { lane: 1, tokenIds: [9] } });
    const outlined = event({
      case: "stageOpened",
      value: { stage: 1, lanes: [2, 3], titles: ["B", "C"], outlined: true },
    });
    const accepted = event({ case: "branchAccepted", value: { lane: 2 } });
    const ended = (lane: number, reason: CloseReason) =>
      event({ case: "branchClosed", value: { lane, reason } });
    const events = [
      ...[started, delta(0, "in"), hidden, outlined, delta(2, "b"), delta(3, "c")],
      ...[ended(3, CloseReason.MARKER), accepted, ended(3, CloseReason.DROPPED)],
    ];
    expect(resumeOf(events)?.lanes).toMatchObject([
      { lane: 0, accepted: false },
      { lane: 1, tokenIds: [9], closed: 0 },
      { lane: 2, accepted: true, closed: 0 },
      { lane: 3, accepted: false, closed: CloseReason.DROPPED },
    ]);
    // A branch that ended and was dropped later has two ends, and both are sent.
    const replay = new Replay(events.slice(0, 7));
    expect(events.slice(1).flatMap((each) => replay.rest(each) ?? [])).toEqual(events.slice(7));
  });

  it("is nothing if nothing was written, or if log-probabilities are wanted", () => {
    expect(resumeOf([started])).toBeNull();
    const spoken = { lane: 0, text: "a", tokenIds: [1], logprobs: [{ tokenId: 1, logprob: -1 }] };
    expect(resumeOf([started, event({ case: "delta", value: spoken })])).toBeNull();
  });
});
