// The log of a stream, which a saved conversation is put together from.
import { LaneAnswer } from "@anabranch/shared/lane-answer.ts";
import type { LaneMark } from "@anabranch/shared/lane-mark.ts";
import { expect, it } from "vitest";
import { type Chunk, EventLog, mostEvents } from "../src/playground/event-log.ts";

const trunk = { lane: 0, stage: null, title: null };

function* chunks(stages: number, pieces: number): Generator<Chunk> {
  const chunk = (content: string, anabranch: LaneMark, finish_reason: string | null = null) => ({
    ...{ choices: [{ index: 0, delta: { content }, finish_reason }], anabranch },
  });
  for (let stage = 1; stage <= stages; stage++) {
    const lanes = [2 * stage - 1, 2 * stage];
    const titles = ["left", "right"];
    yield chunk(`Before ${stage}. `, { event: "delta", ...trunk });
    yield chunk("", { event: "stage_opened", ...trunk, stage, lanes, titles });
    for (let piece = 0; piece < pieces; piece++) {
      const mark = { lane: lanes[piece % 2] ?? 0, stage, title: titles[piece % 2] ?? "" };
      yield chunk(`${piece} `, { event: "delta", ...mark });
    }
    yield chunk("", { event: "stage_closed", ...trunk, stage });
  }
  yield chunk("The end.", { event: "delta", ...trunk }, "stop");
}

const read = (all: Iterable<Chunk>) => {
  const answer = new LaneAnswer();
  for (const chunk of all) answer.push(chunk);
  return answer;
};

it("keeps a stream as it came", () => {
  const log = new EventLog();
  for (const chunk of chunks(2, 20)) log.push({ at: 0, chunk });
  expect(log.events.map(({ chunk }) => chunk)).toEqual([...chunks(2, 20)]);
});

it("puts the text of a long one together, and the answer is the same", () => {
  const log = new EventLog();
  for (const chunk of chunks(4, 20_000)) log.push({ at: 0, chunk });
  expect(log.events.length).toBeLessThan(mostEvents + 40);
  // As a file has them.
  const kept = JSON.parse(JSON.stringify(log.events)) as typeof log.events;
  const again = read(kept.map(({ chunk }) => chunk));
  const whole = read(chunks(4, 20_000));
  expect(again.parts).toEqual(whole.parts);
  expect(again.finishReason).toBe("stop");
});
