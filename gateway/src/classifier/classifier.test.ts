import { describe, expect, it } from "vitest";
import { classify, parallelProbability, version } from "./classifier.ts";

describe("the classifier", () => {
  it.each([
    "Describe Mercury, Earth and Mars. Give each its own section.",
    "How do the blue whale, the owl and the horse compare?",
    "Calculate 53 + 5, 8 + 13 and 35 + 24 and give the total.",
  ])("lets the model branch on: %s", (prompt) => {
    expect(classify(prompt)).toBe("parallel");
  });

  it.each(["What is 5 + 7?", "What is the currency of Egypt?", 'What is "tree" in reverse?'])(
    "keeps serial: %s",
    (prompt) => {
      expect(classify(prompt)).toBe("serial");
    },
  );

  it("has an answer to anything, soon", () => {
    const prompts = ["", "\n", "?", "\u{1f600}".repeat(2_000), "a, b and c ".repeat(100_000)];
    for (const prompt of prompts) {
      const probability = parallelProbability(prompt);
      expect(probability).toBeGreaterThanOrEqual(0);
      expect(probability).toBeLessThanOrEqual(1);
    }
  });

  it("names its weights", () => {
    expect(version).toMatch(/^[0-9a-f]{12}$/);
  });
});
