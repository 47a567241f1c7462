import { Random } from "@anabranch/training/random.ts";
import { describe, expect, it } from "vitest";
import { goodputOf, goodputTable } from "./goodput.ts";
import { arrivalTimes, randomRequest } from "./load-requests.ts";

describe("goodput", () => {
  it("counts the tokens of answers within the limit", () => {
    const answers = [
      { tokens: 100, firstMs: 5, perTokenMs: 10 },
      { tokens: 50, firstMs: 5, perTokenMs: 20 },
      { tokens: 30, firstMs: 5, perTokenMs: 20.1 },
    ];
    expect(goodputOf(answers, 20, 10)).toBe(15);
    expect(goodputOf(answers, 9, 10)).toBe(0);
  });

  it("requests arrive at the asked rate, at the same times for one seed", () => {
    const times = arrivalTimes(new Random(4), 5, 4000);
    expect(times[0]).toBe(0);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(4000 / (times.at(-1) ?? 0)).toBeGreaterThan(4.6);
    expect(4000 / (times.at(-1) ?? 0)).toBeLessThan(5.4);
    expect(arrivalTimes(new Random(4), 5, 4000)).toEqual(times);
  });

  it("a scale shortens requests, and keeps their structure", () => {
    const runs = (scale: number) => randomRequest(new Random(2), 1000, scale).script ?? [];
    expect(runs(0.1).length).toBe(runs(1).length);
    expect(JSON.stringify(runs(0.1)).length).toBeLessThan(JSON.stringify(runs(1)).length / 2);
  });

  it("the table shows slack under the limit that it knew", () => {
    const run = {
      ...{ load: 1, seconds: 1, tokens_s: 9, goodput: [3, 4], scheduling_ms: 0.1 },
      ...{ ttft_ms: { p50: 1, p99: 2 }, time_per_token_ms: { p50: 1, p99: 2 }, misprediction: 0.1 },
    };
    const text = goodputTable({
      backend: "cpu",
      quiet_ms: 10,
      limits: [1.5, 2],
      runs: [
        { ...run, schedule: "eager", limit: null },
        { ...run, schedule: "slack", limit: 2 },
      ],
    });
    const [, , eager, slack] = text.split("\n").map((line) => line.trim().split(/\s{2,}/));
    expect(eager?.slice(0, 5)).toEqual(["1", "eager", "9.0", "3.0", "4.0"]);
    expect(slack?.slice(0, 4)).toEqual(["1", "slack 2", "9.0", "4.0"]);
  });
});
