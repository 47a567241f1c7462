import { featuresOf, logOdds } from "@anabranch/shared/classifier-features.ts";
import { describe, expect, it } from "vitest";
import { demoExamples, type Example } from "./examples.ts";
import { fit } from "./logistic.ts";
import { auc, scores } from "./scores.ts";

describe("scores", () => {
  const predictions = (...pairs: [number, boolean][]) =>
    pairs.map(([probability, parallel]) => ({ probability, parallel }));

  it("compute the area under the curve, where ties count half", () => {
    expect(auc(predictions([0.1, false], [0.4, true], [0.3, false], [0.8, true]))).toBe(1);
    expect(auc(predictions([0.1, true], [0.4, false]))).toBe(0);
    expect(auc(predictions([0.5, true], [0.5, false]))).toBe(0.5);
    expect(auc(predictions([0.2, false], [0.4, true], [0.6, false], [0.8, true]))).toBe(0.75);
    expect(auc(predictions([0.2, true]))).toBeNull();
  });

  it("compute how far probabilities are from frequencies", () => {
    expect(scores(predictions([1, true], [0, false])).ece).toBe(0);
    expect(scores(predictions([0.9, false], [0.9, true])).ece).toBeCloseTo(0.4);
  });
});

describe("the fit", () => {
  const example = (prompt: string, parallel: boolean): Example => {
    return { source: "test", prompt, parallel, features: featuresOf(prompt), weight: 1 };
  };

  it("learns a word, and nothing if there is nothing to learn", () => {
    const model = fit(
      [example("red one", true), example("blue one", false), example("red two", true)],
      { l2: 1e-3, steps: 200 },
    );
    expect(logOdds(model, featuresOf("red three"))).toBeGreaterThan(0);
    expect(logOdds(model, featuresOf("blue three"))).toBeLessThan(0);
    const same = [example("red", true), example("red", false)];
    expect(logOdds(fit(same, { l2: 1e-3, steps: 50 }), featuresOf("red"))).toBeCloseTo(0);
  });

  it("separates the demo's held-out tasks", () => {
    const model = fit(demoExamples(400, "train"), { l2: 1e-4, steps: 100 });
    const predictions = demoExamples(200, "heldout").map(({ parallel, features }) => {
      return { parallel, probability: 1 / (1 + Math.exp(-logOdds(model, features))) };
    });
    expect(auc(predictions)).toBeGreaterThan(0.95);
  });
});
