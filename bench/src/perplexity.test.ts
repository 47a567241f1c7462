import { describe, expect, it } from "vitest";
import { perplexityOf } from "./perplexity.ts";
import { scoredPerWindow, windowsOf } from "./windows.ts";

describe("perplexity", () => {
  it("of a model that is always certain of one in eight is eight", () => {
    expect(perplexityOf([Math.log(8), Math.log(8), Math.log(8)])).toEqual({
      perplexity: 8,
      error: 0,
    });
  });

  it("has the error of the mean", () => {
    const { perplexity, error } = perplexityOf([1, 3]);
    expect(perplexity).toBeCloseTo(Math.exp(2), 3);
    expect(error).toBeCloseTo(Math.exp(2) * 1, 3);
  });

  it("counts the second half of a window, as llama-perplexity does", () => {
    expect(scoredPerWindow(512)).toBe(255);
  });
});

describe("windows", () => {
  const tokens = Array.from({ length: 25 }, (_, i) => i + 10);

  it("follow each other, and begin with the start token", () => {
    expect(windowsOf(tokens, [], 8, 2)).toEqual([tokens.slice(0, 8), tokens.slice(8, 16)]);
    expect(windowsOf(tokens, [1], 8, 2)[1]).toEqual([1, ...tokens.slice(9, 16)]);
  });

  it("are refused if the text has not as many", () => {
    expect(() => windowsOf(tokens, [], 8, 4)).toThrow(/9 --tokens at most/);
  });
});
