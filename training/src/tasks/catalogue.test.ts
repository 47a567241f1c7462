import { textOfParts } from "@anabranch/shared/parts.ts";
import { describe, expect, it } from "vitest";
import { cutTask } from "../cli/generate.ts";
import { cut } from "../pipeline/cut.ts";
import { makeTask } from "./catalogue.ts";
import { check, Draw, enumerate, families } from "./task.ts";

const some = Array.from({ length: 600 }, (_, i) => i);

describe("the task generator", () => {
  it("makes the same task from the same seed", () => {
    for (const i of some.slice(0, 50)) {
      expect(makeTask(7, i, "train")).toEqual(makeTask(7, i, "train"));
    }
    expect(makeTask(7, 0, "train")).not.toEqual(makeTask(8, 0, "train"));
  });

  it("writes answers that its own verifiers accept and the pipeline cuts as intended", () => {
    for (const i of some) {
      for (const split of ["train", "heldout"] as const) {
        const { prompt, response, claims, parallel, kind } = makeTask(1, i, split);
        expect(check(claims, response), kind).toBe(true);
        const { parts } = cut(response, prompt, { minGain: -100 });
        expect(
          parts.some((part) => "parallel" in part),
          kind,
        ).toBe(parallel);
        expect(textOfParts(parts), kind).toBe(response);
      }
    }
  });

  it("is refused if a task's answer has another structure or text than intended", () => {
    const task = makeTask(1, 0, "train", "general");
    expect(textOfParts(cutTask(task))).toBe(task.response);
    expect(() => cutTask({ ...task, parallel: false })).toThrow("not as intended");
    const claims = [{ contains: "text that is not in the answer" }];
    expect(() => cutTask({ ...task, claims })).toThrow("the verifier rejects");
  });

  it("makes two to eight branches, or none", () => {
    for (const i of some) {
      for (const part of cutTask(makeTask(2, i, "train"))) {
        if ("parallel" in part) {
          expect(part.parallel.length).toBeGreaterThanOrEqual(2);
          expect(part.parallel.length).toBeLessThanOrEqual(8);
        }
      }
    }
  });

  it("can draw tasks of one family", () => {
    for (const family of families) {
      for (const i of some.slice(0, 20)) {
        expect(makeTask(1, i, "heldout", family).family).toBe(family);
      }
    }
  });

  it("keeps held-out combinations out of training", () => {
    const train = new Draw("a", "train");
    const heldout = new Draw("a", "heldout");
    for (let i = 0; i < 200; i++) {
      expect(train.owns("x", i)).toBe(!heldout.owns("x", i));
      expect(train.owns("x", i)).toBe(train.owns(i, "x"));
    }
  });
});

describe("a verifier", () => {
  const total = [{ contains: "The total is 8" }];
  it("requires whole words", () => {
    expect(check(total, "The total is 8.")).toBe(true);
    expect(check(total, "The total is 81.")).toBe(false);
    expect(check(total, "The total is 8.5")).toBe(false);
  });

  it("looks only at the line that a claim names", () => {
    const claims = [{ contains: "Japan", near: "Tokyo" }];
    expect(check(claims, "- Tokyo: in Japan\n- Paris: in France")).toBe(true);
    expect(check(claims, "- Tokyo: in France\n- Paris: in Japan")).toBe(false);
  });

  it("rejects a parallel task's answer with one value changed", () => {
    const tasks = some.map((i) => makeTask(3, i, "train")).filter(({ parallel }) => parallel);
    expect(tasks.length).toBeGreaterThan(100);
    for (const task of tasks) {
      const claim = task.claims[0];
      if (claim === undefined) throw new Error("a task without a claim");
      expect(check(task.claims, task.response.replaceAll(claim.contains, "?"))).toBe(false);
    }
  });
});

it("enumerates as in English", () => {
  expect(enumerate(["a"])).toBe("a");
  expect(enumerate(["a", "b"])).toBe("a and b");
  expect(enumerate(["a", "b", "c"])).toBe("a, b and c");
});
