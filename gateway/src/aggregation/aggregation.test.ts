import { AnswerDocument, LaneEventError } from "@anabranch/shared/answer-document.ts";
import { LaneAnswer, type LaneChunk } from "@anabranch/shared/lane-answer.ts";
import { CloseReason, FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import {
  type Event,
  EventSchema,
  type TokenLogprob,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { randomness } from "../../test/randomness.ts";
import { TokenTally } from "../usage/token-tally.ts";
import { LanesPresenter } from "./lanes-presenter.ts";
import { OrderedPresenter } from "./ordered-presenter.ts";
import type { Fragment, Presenter } from "./presenter.ts";

type EventInit = NonNullable<MessageInitShape<typeof EventSchema>["event"]>;

const event = (init: EventInit): Event => create(EventSchema, { event: init });
const text = (lane: number, said: string, tokenIds = [1]) =>
  event({ case: "delta", value: { lane, text: said, tokenIds, visibleTokens: 1 } });
const opened = (stage: number, lanes: number[]) =>
  event({
    case: "stageOpened",
    value: { stage, lanes, titles: lanes.map((lane) => `T${lane}`) },
  });
const declared = (stage: number, lanes: number[]) =>
  event({
    case: "stageOpened",
    value: { stage, lanes, titles: lanes.map((lane) => `T${lane}`), declared: true },
  });
const outlined = (stage: number, lanes: number[]) =>
  event({
    case: "stageOpened",
    value: { stage, lanes, titles: lanes.map((lane) => `T${lane}`), outlined: true },
  });
const accepted = (lane: number) => event({ case: "branchAccepted", value: { lane } });
const branchClosed = (lane: number, reason = CloseReason.MARKER) =>
  event({ case: "branchClosed", value: { lane, reason } });
const dropped = (lane: number) => branchClosed(lane, CloseReason.DROPPED);
const stageClosed = (stage: number) => event({ case: "stageClosed", value: { stage } });
const finished = (stopLane?: number) =>
  event({
    case: "finished",
    value: { reason: FinishReason.STOP, ...(stopLane === undefined ? {} : { stopLane }) },
  });

/** Each event's fragments in an `ordered` and in a `lanes` stream, and the whole. */
function present(events: Event[]) {
  const document = new AnswerDocument<TokenLogprob>();
  const ordered: Presenter = new OrderedPresenter(document);
  const lanes = new LanesPresenter();
  const orderedText: string[] = [];
  const chunks: Fragment[] = [];
  const whole = new AnswerDocument<TokenLogprob>();
  const tally = new TokenTally();
  for (const each of events) {
    whole.apply(each.event);
    tally.add(each);
    const change = document.apply(each.event);
    const fragments = change ? ordered.push(change) : [];
    orderedText.push(fragments.map((fragment) => fragment.text).join(""));
    if (change) chunks.push(...lanes.push(change));
    if (change?.kind === "finished") {
      chunks.push({ text: "", logprobs: [], mark: lanes.closingMark(change.stoppedIn) });
    }
  }
  return { ordered: orderedText, chunks, whole: whole.text, tally: tally.counts };
}

const chunkOf = ({ text: content, mark }: Fragment): LaneChunk => {
  const chunk = { choices: [{ delta: { content } }], anabranch: mark };
  return chunk;
};

function collect(chunks: readonly Fragment[]): LaneAnswer {
  const answer = new LaneAnswer();
  for (const chunk of chunks) answer.push(chunkOf(chunk));
  return answer;
}

describe("an ordered stream", () => {
  it("streams the first open branch live, and holds and releases the others in turn", () => {
    const { ordered } = present([
      text(0, "Intro. "),
      opened(1, [1, 2, 3]),
      text(1, "a1 "),
      text(2, "b1 "),
      text(3, "c1 "),
      branchClosed(3),
      text(1, "a2 "),
      branchClosed(1),
      text(2, "b2 "),
      branchClosed(2),
      stageClosed(1),
      text(0, "End."),
      finished(),
    ]);
    expect(ordered).toEqual(
      // biome-ignore format: one entry per event above
      ["Intro. ", "", "a1 ", "", "", "", "a2 ", "b1 ", "b2 ", "c1 ", "", "End.", ""],
    );
  });

  it("shows declared branches under their titles, which come with the first text", () => {
    const { ordered, whole, chunks } = present([
      declared(1, [1, 2, 3]),
      text(2, "b1"),
      text(1, "a1"),
      text(1, "a2"),
      branchClosed(1, CloseReason.EOS),
      branchClosed(3, CloseReason.EOS),
      branchClosed(2, CloseReason.STOP),
      stageClosed(1),
      finished(),
    ]);
    expect(ordered).toEqual(
      // biome-ignore format: one entry per event above
      ["", "", "**T1**\n\na1", "a2", "\n\n**T2**\n\nb1", "", "\n\n**T3**\n\n", "", ""],
    );
    expect(whole).toBe(ordered.join(""));
    expect(collect(chunks).text).toBe(whole);
    expect(chunks[0]?.mark).toMatchObject({ event: "stage_opened", declared: true });
    expect(chunks.map(({ text }) => text).join("")).toBe("b1a1a2");
  });

  it("never sends what follows a stop string", () => {
    const { ordered, whole } = present([
      text(0, "Intro. "),
      opened(1, [1, 2]),
      text(2, "void"),
      text(1, "cut he"),
      finished(1),
    ]);
    expect(ordered.join("")).toBe("Intro. cut he");
    expect(whole).toBe("Intro. cut he");
  });

  it("nor if one message holds it and the end together", () => {
    const document = new AnswerDocument<TokenLogprob>();
    const presenter = new OrderedPresenter(document);
    const message = [
      ...[text(0, "Intro. "), opened(1, [1, 2])],
      ...[text(1, "cut he"), text(2, "void"), finished(1)],
    ];
    const changes = message.flatMap((each) => document.apply(each.event) ?? []);
    const fragments = changes.flatMap((change) => presenter.push(change));
    expect(fragments.map((fragment) => fragment.text).join("")).toBe("Intro. cut he");
  });

  it("puts trunk text that was held back before the stage", () => {
    const { ordered, whole, chunks } = present([
      text(0, "Intro"),
      opened(1, [1, 2]),
      text(0, ". "),
      text(1, "a "),
      text(2, "b "),
      branchClosed(1),
      branchClosed(2),
      stageClosed(1),
      finished(),
    ]);
    expect(ordered.join("")).toBe("Intro. a b ");
    expect(whole).toBe("Intro. a b ");
    expect(collect(chunks).text).toBe("Intro. a b ");
  });

  it("sends a branch of an outlined stage once it is accepted, and one that is dropped never", () => {
    const { ordered, whole } = present([
      text(0, "1. a1 "),
      outlined(1, [2, 3, 4]),
      text(2, "2. b1 "),
      text(0, "a2 "),
      text(3, "3. c1 "),
      branchClosed(3),
      accepted(2),
      text(2, "b2 "),
      branchClosed(2),
      text(4, "4. d1 "),
      accepted(3),
      dropped(4),
      stageClosed(1),
      text(0, "End."),
      finished(),
    ]);
    expect(ordered).toEqual(
      // biome-ignore format: one entry per event above
      ["1. a1 ", "", "", "a2 ", "", "", "2. b1 ", "b2 ", "", "", "3. c1 ", "", "", "End.", ""],
    );
    expect(whole).toBe("1. a1 a2 2. b1 b2 3. c1 End.");
  });

  it("does not send what was never accepted, if the answer ends before", () => {
    const { ordered, whole } = present([text(0, "a "), outlined(1, [2]), text(2, "b"), finished()]);
    expect(ordered.join("")).toBe("a ");
    expect(whole).toBe("a ");
  });

  it("brings an answer whose stage was never closed to its end", () => {
    const { ordered } = present([opened(1, [1, 2]), text(2, "b"), text(1, "a"), finished()]);
    expect(ordered.join("")).toBe("ab");
  });
});

describe("a lanes stream", () => {
  it("marks each chunk with its place", () => {
    const { chunks } = present([
      text(0, "x"),
      opened(1, [1, 2]),
      text(2, "b"),
      branchClosed(2),
      branchClosed(1),
      stageClosed(1),
      finished(),
    ]);
    expect(chunks.map(({ mark }) => mark)).toEqual([
      { event: "delta", lane: 0, stage: null, title: null },
      {
        ...{ event: "stage_opened", lane: 0, stage: 1, title: null },
        ...{ lanes: [1, 2], titles: ["T1", "T2"] },
      },
      { event: "delta", lane: 2, stage: 1, title: "T2" },
      { event: "branch_closed", lane: 2, stage: 1, title: "T2", reason: "marker" },
      { event: "branch_closed", lane: 1, stage: 1, title: "T1", reason: "marker" },
      { event: "stage_closed", lane: 0, stage: 1, title: null },
      { event: "delta", lane: 0, stage: null, title: null },
    ]);
  });

  it("is put together by the client library, branches and all", () => {
    const answer = collect(
      present([
        text(0, "x "),
        opened(1, [1, 2]),
        text(2, "b "),
        text(1, "a "),
        branchClosed(1),
        text(2, "bb "),
        finished(2),
      ]).chunks,
    );
    expect(answer.text).toBe("x a b bb ");
    expect(answer.stages).toMatchObject([
      {
        branches: [{ title: "T1", text: "a ", closed: true, reason: "marker" }, { closed: false }],
      },
    ]);
  });
});

describe("the document", () => {
  it("refuses events that fit no answer", () => {
    for (const events of [
      [text(4, "x")],
      [branchClosed(1)],
      [stageClosed(1)],
      [opened(1, [1]), opened(2, [1])],
    ]) {
      const document = new AnswerDocument<TokenLogprob>();
      expect(() => events.map((each) => document.apply(each.event))).toThrow(LaneEventError);
    }
  });

  it("counts what an answer that was cut off has used", () => {
    const { tally } = present([
      text(0, "x", [1, 2]),
      opened(1, [1, 2]),
      text(1, "a", [3, 4, 5]),
      text(2, "b", [6]),
    ]);
    expect(tally).toEqual({
      completionTokens: 6,
      visibleTokens: 3,
      stages: 1,
      branches: 2,
      steps: 5,
      ...{ outlineTokens: 0, droppedTokens: 0, droppedPlans: [], outlineEnds: [] },
    });
  });

  it("counts tokens of lanes that nobody sees", () => {
    const { tally } = present([
      text(0, "x", [1, 2]),
      event({ case: "delta", value: { lane: 1, tokenIds: [5, 6, 7] } }),
      outlined(1, [2]),
      text(2, "b", [3, 4, 5, 6]),
    ]);
    expect(tally).toMatchObject({ completionTokens: 9, branches: 1, steps: 2 });
  });
});

/** Some answer's events, and the text that its parts are known to make. */
function randomAnswer(seed: number): { events: Event[]; text: string } {
  const below = randomness(seed);
  const events: Event[] = [];
  let said = "";
  let lane = 0;
  let word = 0;
  const stages = below(4);
  for (let stage = 1; stage <= stages + 1; stage++) {
    for (let count = below(3); count > 0; count--) {
      const serial = `s${word++} `;
      events.push(text(0, serial));
      said += serial;
    }
    if (stage > stages) break;
    if (below(2) === 0) {
      ({ said, lane, word } = outlinedStage(below, events, { stage, said, lane, word }));
      continue;
    }
    const branches = Array.from({ length: 2 + below(4) }, () => ({
      lane: ++lane,
      left: Array.from({ length: below(5) }, () => `w${word++} `),
    }));
    events.push(
      opened(
        stage,
        branches.map((branch) => branch.lane),
      ),
    );
    said += branches.flatMap(({ left }) => left).join("");
    const open = [...branches];
    while (open.length > 0) {
      const index = below(open.length);
      const branch = open[index];
      const next = branch?.left.shift();
      if (branch && next !== undefined) events.push(text(branch.lane, next));
      else if (branch) {
        events.push(branchClosed(branch.lane));
        open.splice(index, 1);
      }
    }
    events.push(stageClosed(stage));
  }
  events.push(finished());
  return { events, text: said };
}

/** A stage whose first item the trunk writes, in any interleaving that an engine may give it. */
function outlinedStage(
  below: (limit: number) => number,
  events: Event[],
  from: { stage: number; said: string; lane: number; word: number },
) {
  const { stage } = from;
  let { said, lane, word } = from;
  lane++; // of the titles
  const count = 1 + below(4);
  const kept = below(count + 1);
  const words = () => Array.from({ length: 1 + below(4) }, () => `w${word++} `);
  const trunk = words();
  said += trunk.join("");
  const branches = Array.from({ length: count }, (_, index) => {
    const text = words();
    if (index < kept) said += text.join("");
    return { lane: ++lane, left: text, open: true, kept: index < kept };
  });
  events.push(
    outlined(
      stage,
      branches.map((branch) => branch.lane),
    ),
  );
  let next = 0; // to be accepted
  while (
    trunk.length > 0 ||
    branches.some(({ open, kept: isKept }) => isKept && open) ||
    next < kept
  ) {
    const index = below(count + 2) - 2;
    const branch = branches[index];
    if (index === -2) {
      const more = trunk.shift();
      if (more !== undefined) events.push(text(0, more));
      continue;
    }
    // The item before it is complete.
    const after = trunk.length === 0 && (next === 0 || branches[next - 1]?.open === false);
    if (index === -1) {
      if (after && next < kept) events.push(accepted(branches[next++]?.lane ?? 0));
      continue;
    }
    const more = branch?.left.shift();
    if (branch && more !== undefined) events.push(text(branch.lane, more));
    else if (branch?.open) {
      branch.open = false;
      events.push(branchClosed(branch.lane));
    }
  }
  for (const branch of branches.slice(kept)) events.push(dropped(branch.lane));
  events.push(stageClosed(stage));
  return { said, lane, word };
}

describe("any answer", () => {
  it("is the same text ordered, in lanes and not streamed", () => {
    for (let seed = 0; seed < 500; seed++) {
      const answer = randomAnswer(seed);
      const { ordered, whole, chunks } = present(answer.events);
      expect(ordered.join(""), `seed ${seed}, ordered`).toBe(answer.text);
      expect(whole, `seed ${seed}, whole`).toBe(answer.text);
      expect(collect(chunks).text, `seed ${seed}, lanes`).toBe(answer.text);
    }
  });

  it("has an append-only prefix in document order out at every moment", () => {
    for (let seed = 0; seed < 200; seed++) {
      const answer = randomAnswer(seed);
      let out = "";
      for (const piece of present(answer.events).ordered) {
        out += piece;
        expect(answer.text.startsWith(out), `seed ${seed}`).toBe(true);
      }
    }
  });
});
