import { LaneAnswer } from "@anabranch/client";
import { describe, expect, it } from "vitest";
import { pacedAnswer } from "./frames/paced-lanes.ts";
import { type FramesFigures, framesOf, keepsUp, lengthOf } from "./frames.ts";

const pace = { seconds: 5, rate: 60, branches: 4, stageSeconds: 2 };

describe("the paced answer", () => {
  it("is an answer of so many pieces, in stages that join, whose text has the length that is expected", () => {
    const answer = new LaneAnswer();
    let pieces = 0;
    let last = 0;
    for (const next of pacedAnswer(pace)) {
      if (typeof next === "number") {
        expect(next).toBeGreaterThanOrEqual(last);
        last = next;
        continue;
      }
      if (next.mark.lane > 0 && next.mark.event === "delta") pieces++;
      const choices = [{ index: 0, delta: { content: next.text } }];
      answer.push({ choices, anabranch: next.mark } as Parameters<LaneAnswer["push"]>[0]);
    }
    expect(pieces).toBe(300);
    expect(last).toBeLessThan(5_000);
    expect(answer.stages.map(({ closed, branches }) => [closed, branches.length])).toEqual([
      [true, 4],
      [true, 4],
      [true, 4],
    ]);
    expect(answer.text).toHaveLength(lengthOf(pace));
  });
});

describe("frames", () => {
  it("are judged by their p95, and by the text that is there", () => {
    const times = [...Array(96).fill(16), ...Array(4).fill(90)];
    const figures = { ...framesOf(times), shown: 5, sent: 5 } as FramesFigures;
    expect(figures).toMatchObject({ frames: 100, frame_ms: { p50: 16, p95: 16, p99: 90 } });
    expect(keepsUp(figures)).toBe(true);
    expect(keepsUp({ ...figures, shown: 4 })).toBe(false);
    expect(keepsUp({ ...figures, ...framesOf([...times, ...Array(9).fill(51)]) })).toBe(false);
  });
});
