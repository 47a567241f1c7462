import { expect, it } from "vitest";
import { topicPrompts } from "./prompts.ts";

it("prompts are different, filled in, and decided by the seed", () => {
  const prompts = topicPrompts(2000, 5, 0.7);
  expect(prompts).toEqual(topicPrompts(2000, 5, 0.7));
  expect(prompts).not.toEqual(topicPrompts(2000, 6, 0.7));
  expect(prompts).toHaveLength(2000);
  expect(new Set(prompts.map(({ prompt }) => prompt)).size).toBe(2000);
  for (const { prompt } of prompts) expect(prompt).not.toMatch(/[{}]|undefined|^\s|\s$|^\p{Ll}/u);
});

it("the share of prompts that invite points is the one that was asked for", () => {
  const share = (wanted: number) => {
    const prompts = topicPrompts(1000, 1, wanted);
    return prompts.filter(({ category }) => category === "points").length / prompts.length;
  };
  expect(share(0)).toBe(0);
  expect(share(1)).toBe(1);
  expect(Math.abs(share(0.5) - 0.5)).toBeLessThan(0.1);
});
