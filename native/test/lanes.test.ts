// Decoding in parallel changes when tokens are computed, never which or with what probability.
import { describe, expect, it } from "vitest";
import { codePaths, type Sampling } from "../src/index.ts";
import {
  branching,
  eager,
  expectSameLogits,
  markers,
  prompt,
  prompts,
  Serving,
  small,
  tiny,
  written,
} from "./answers.ts";

const compare = prompt("compare-cities");
const greedy: Sampling = { logprobs: true, topLogprobs: 3 };
const seeded: Sampling = { ...greedy, temperature: 0.8, topP: 0.95, topK: 40 };

const ask = (sampling: Sampling, sequential = false) => ({
  prompt: compare,
  sampling,
  seed: 20n,
  parallel: true,
  maxTokens: 640,
  sequential,
});

describe.each(codePaths())("%s", (codePath) => {
  describe.each(["fp32", "bf16", "int8"] as const)("%s", (dtype) => {
    for (const [kind, sampling] of Object.entries({ greedy, seeded })) {
      it(`${kind}: siblings together, one after another, with other requests and in other chunks give the same bits`, async () => {
        const alone = new Serving({ codePath, dtype });
        const reference = await alone.answer(ask(sampling));
        expect(reference.usage.branches, "the model branches").toBeGreaterThanOrEqual(2);
        const want = written(reference);

        const together = alone.engine.load().steps;
        const apart = await alone.answer(ask(sampling, true));
        expect(written(apart)).toEqual(want);
        expect(alone.engine.load().steps - together).toBeGreaterThan(together);

        const crowd = new Serving({ codePath, dtype, threads: 2, prefillRows: 7, maxRows: 256 });
        const others = prompts.map((ids, i) =>
          crowd.answer({
            ...ask(i % 2 ? greedy : seeded, i % 3 === 0),
            prompt: ids,
            seed: i,
            maxTokens: 100,
          }),
        );
        const crowded = await Promise.all([
          crowd.answer(ask(sampling)),
          crowd.answer(ask(sampling, true)),
        ]);
        await Promise.all(others);
        for (const answer of crowded) expect(written(answer)).toEqual(want);
        alone.expectAllFree();
        crowd.expectAllFree();
      });
    }

    it("structured prefill of a finished branching answer gives the same logits to the bit", async () => {
      const serving = new Serving({ codePath, dtype });
      const answer = await serving.answer({ ...ask(seeded), returnLogits: true });
      expect(answer.usage.stages).toBeGreaterThan(0);
      await expectSameLogits(serving, compare, answer, 3);
    });
  });
});

describe("after the join", () => {
  it.each(["sum", "max"] as const)("the trunk resumes at start plus the %s", async (resume) => {
    const model = branching({ resume, caps: { branches: 3, branch_tokens: 40, stages: 2 } });
    const serving = new Serving({ model, dtype: "fp32" });
    const promptIds = [5, 6, 7, 30, 31];
    const answer = await serving.answer({
      prompt: promptIds,
      parallel: true,
      maxTokens: 200,
      // Each branch ends at its own logits, so their lengths differ.
      sampling: {
        temperature: 1,
        frequencyPenalty: 1,
        logitBias: [...eager, [markers.branchClose, 2]],
      },
      seed: 9,
      returnLogits: true,
    });
    expect(answer.usage.stages).toBe(2);
    const lengths = answer.lanes.slice(1).map((lane) => lane.length);
    expect(new Set(lengths).size, "branches of different lengths").toBeGreaterThan(1);
    await expectSameLogits(serving, promptIds, answer, markers.titleOpen, resume);
    const other = resume === "sum" ? "max" : "sum";
    await expect(
      expectSameLogits(serving, promptIds, answer, markers.titleOpen, other),
    ).rejects.toThrow();
  });
});

describe("no result depends on other requests", () => {
  it("a serial answer is the same alone and among 40 others", async () => {
    const serving = new Serving({ model: tiny, threads: 2 });
    const request = (seed: number) => ({
      prompt: [1, 2, 3, 4 + seed],
      seed,
      maxTokens: 40,
      sampling: { temperature: 1, logprobs: true },
    });
    const alone = await serving.answer(request(0));
    const crowd = await Promise.all(
      Array.from({ length: 40 }, (_, i) => serving.answer(request(i % 20))),
    );
    for (const i of [0, 20]) expect(written(crowd[i] ?? alone)).toEqual(written(alone));
    expect(written(crowd[1] ?? alone)).not.toEqual(written(alone));
    serving.expectAllFree();
  });

  it("the small model writes its markers only if it may branch", async () => {
    const serving = new Serving({ model: small });
    const serial = await serving.answer({ ...ask(greedy), parallel: false });
    expect(serial.usage.stages).toBe(0);
    expect(serial.lanes).toHaveLength(1);
    expect(serial.lanes[0]?.filter(({ id }) => id >= 3 && id <= 8)).toEqual([]);
  });
});
