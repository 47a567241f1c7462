import { describe, expect, it } from "vitest";
import {
  bodiesOf,
  collectChoices,
  collectLanes,
  LaneAnswer,
  type LaneChunk,
} from "./lane-answer.ts";
import type { LaneMark } from "./lane-mark.ts";

const chunk = (content: string, mark?: Partial<LaneMark>): LaneChunk => {
  const anabranch = { event: "delta", lane: 0, stage: null, title: null, ...mark };
  const made = { choices: [{ delta: { content } }], ...(mark ? { anabranch } : {}) };
  return made;
};
const opened: Partial<LaneMark> = {
  ...{ event: "stage_opened", stage: 1, lanes: [1, 2], titles: ["A", "B"] },
};

function collect(...chunks: LaneChunk[]): LaneAnswer {
  const answer = new LaneAnswer();
  for (const each of chunks) answer.push(each);
  return answer;
}

describe("the answer of a lanes stream", () => {
  it("puts interleaved branches into document order", () => {
    const answer = collect(
      chunk("x ", {}),
      chunk("", opened),
      chunk("b1 ", { lane: 2, stage: 1, title: "B" }),
      chunk("a1 ", { lane: 1, stage: 1, title: "A" }),
      chunk("b2 ", { lane: 2, stage: 1, title: "B" }),
      chunk("", { event: "branch_closed", lane: 2, stage: 1, title: "B", reason: "marker" }),
      chunk("", { event: "branch_closed", lane: 1, stage: 1, title: "A", reason: "cap" }),
      chunk("", { event: "stage_closed", stage: 1 }),
      chunk("y", {}),
    );
    expect(answer.text).toBe("x a1 b1 b2 y");
    expect(answer.parts).toMatchObject([
      { kind: "serial", text: "x " },
      {
        kind: "stage",
        closed: true,
        branches: [
          { title: "A", text: "a1 ", closed: true, reason: "cap" },
          { title: "B", text: "b1 b2 ", closed: true, reason: "marker" },
        ],
      },
      { kind: "serial", text: "y" },
    ]);
  });

  it("leaves out what follows a stop string", () => {
    const branch = collect(
      chunk("", opened),
      chunk("b ", { lane: 2, stage: 1 }),
      chunk("a ", { lane: 1, stage: 1 }),
      chunk("", { lane: 1, stage: 1, stop_lane: 1 }),
    );
    expect(branch.text).toBe("a ");
    expect(branch.stages[0]?.branches[1]).toMatchObject({ text: "b ", void: true });

    const trunk = collect(
      chunk("x", {}),
      chunk("", opened),
      chunk("b ", { lane: 2, stage: 1 }),
      chunk("", { stop_lane: 0 }),
    );
    expect(trunk.text).toBe("x");
  });

  it("gives back a message whose parts are its content", () => {
    const answer = collect(
      chunk("x ", {}),
      chunk("", opened),
      chunk("b ", { lane: 2, stage: 1, title: "B" }),
      chunk("a ", { lane: 1, stage: 1, title: "A" }),
      chunk("", { event: "stage_closed", stage: 1 }),
      chunk("y", {}),
    );
    const parallel = [
      { title: "A", body: "a " },
      { title: "B", body: "b " },
    ];
    expect(answer.message).toEqual({
      role: "assistant",
      content: "x a b y",
      anabranch: { parts: [{ serial: "x " }, { parallel }, { serial: "y" }] },
    });
    // Text after a stop string is in neither.
    answer.push(chunk("", { lane: 1, stage: 1, stop_lane: 1 }));
    expect(answer.message).toMatchObject({
      content: "x a ",
      anabranch: { parts: [{ serial: "x " }, { parallel: [{ title: "A", body: "a " }] }] },
    });
  });

  it("gives declared branches by their titles, and as text under them", () => {
    const answer = collect(
      chunk("", { ...opened, declared: true }),
      chunk("b ", { lane: 2, stage: 1, title: "B" }),
      chunk("a", { lane: 1, stage: 1, title: "A" }),
      chunk("", { event: "branch_closed", lane: 2, stage: 1, title: "B", reason: "stop" }),
      chunk("", { event: "branch_closed", lane: 1, stage: 1, title: "A", reason: "cap" }),
      chunk("", { event: "stage_closed", stage: 1 }),
    );
    const parallel = [
      { title: "A", body: "a" },
      { title: "B", body: "b " },
    ];
    expect(answer.text).toBe("**A**\n\na\n\n**B**\n\nb ");
    expect(answer.message).toEqual({
      ...{ role: "assistant", content: answer.text, anabranch: { parts: [{ parallel }] } },
    });
    expect(answer.branches.get("B")).toMatchObject({ text: "b ", reason: "stop" });
    expect(bodiesOf(answer.message)).toEqual(
      new Map([
        ["A", "a"],
        ["B", "b "],
      ]),
    );
    expect(bodiesOf({ content: "no parts" }).size).toBe(0);
  });

  it("keeps the choices of one stream apart", async () => {
    async function* two(): AsyncGenerator<LaneChunk> {
      for (const content of ["a", "b"]) {
        for (const index of [1, 0]) yield { choices: [{ index, delta: { content } }] };
      }
      yield { choices: [{ index: 1, delta: {}, finish_reason: "stop" }] };
      yield { choices: [{ index: 0, delta: {}, finish_reason: "length" }] };
      yield { choices: [] };
    }
    const answers = await collectChoices(two(), 2);
    expect(answers.map(({ text, finishReason }) => [text, finishReason])).toEqual([
      ["ab", "length"],
      ["ab", "stop"],
    ]);
  });

  it("takes streams without branches, chat and text, as serial text", async () => {
    async function* plain(): AsyncGenerator<LaneChunk> {
      yield chunk("one ");
      yield { choices: [{ text: "two" }] };
      yield { choices: [{ delta: {}, finish_reason: "stop" }] };
      yield { choices: [] };
    }
    const answer = await collectLanes(plain());
    expect(answer.text).toBe("one two");
    expect(answer.finishReason).toBe("stop");
    expect(answer.stages).toEqual([]);
  });
});
