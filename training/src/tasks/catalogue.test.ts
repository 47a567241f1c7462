import { describe, expect, it } from "vitest";
import { cutTask } from "../cli/generate.ts";
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
      cutTask(makeTask(1, i, "train"));
      cutTask(makeTask(1, i, "heldout"));
    }
  });

  it("has two to eight branches where it has any", () => {
    for (const i of some) {
      for (const part of cutTask(makeTask(2, i, "train"))) {
        if ("parallel" in part) {
          expect(part.parallel.length).toBeGreaterThanOrEqual(2);
          expect(part.parallel.length).toBeLessThanOrEqual(8);
        }
      }
    }
  });

  it("draws every family alone", () => {
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
  it("wants whole words", () => {
    expect(check(total, "The total is 8.")).toBe(true);
    expect(check(total, "The total is 81.")).toBe(false);
    expect(check(total, "The total is 8.5")).toBe(false);
  });

  it("looks only at the line it names", () => {
    const claims = [{ contains: "Japan", near: "Tokyo" }];
    expect(check(claims, "- Tokyo: in Japan\n- Paris: in France")).toBe(true);
    expect(check(claims, "- Tokyo: in France\n- Paris: in Japan")).toBe(false);
  });

  it("refuses a parallel task's answer with one value changed", () => {
    for (const i of some.slice(0, 100)) {
      const task = makeTask(3, i, "train");
      const claim = task.claims[0];
      if (claim === undefined) throw new Error("a task without a claim");
      expect(check(task.claims, task.response.replaceAll(claim.contains, "?"))).toBe(false);
    }
  });
});

it("enumerates as English does", () => {
  expect(enumerate(["a"])).toBe("a");
  expect(enumerate(["a", "b"])).toBe("a and b");
  expect(enumerate(["a", "b", "c"])).toBe("a, b and c");
});
