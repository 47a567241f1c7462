// Structured prefill, and scoring with it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, vi } from "vitest";
import type { StructureRun } from "../src/index.ts";
import { byLane, finish, idsOf, prompts, refusal, Serving, small, tiny } from "./answers.ts";

describe("structured prefill", () => {
  it("does not depend on the number of rows per step", async () => {
    const long: StructureRun[] = [
      { serial: Array.from({ length: 150 }, (_, i) => (i * 7) % 192) },
      {
        parallel: [60, 1, 90].map((n, b) =>
          Array.from({ length: n }, (_, i) => (i * 5 + b * 3) % 192),
        ),
      },
      { serial: Array.from({ length: 100 }, (_, i) => (i * 11) % 192) },
    ];
    const one = await new Serving({ model: tiny, maxRows: 512 }).engine.score(long, "sum", {
      logits: true,
    });
    const two = await new Serving({ model: tiny, maxRows: 256, threads: 2 }).engine.score(
      long,
      "sum",
      { logits: true },
    );
    expect(two.runs).toEqual(one.runs);
    expect(two.logits).toEqual(one.logits);
  });

  it("gives the likeliest tokens in each one's place, as its logits have them", async () => {
    const { engine } = new Serving({ model: tiny });
    const { vocabulary } = engine.info();
    const runs: StructureRun[] = [
      { serial: [4, 5, 6, 7] },
      { parallel: [[7, 8, 9], [11], [12, 13]] },
      { serial: [9, 4] },
    ];
    const count = 5;
    const { logits = new Float32Array(), ...given } = await engine.score(runs, "sum", {
      ...{ logits: true, topLogprobs: count },
    });
    expect((await engine.score(runs, "sum", { topLogprobs: count })).top).toEqual(given.top);
    const { ids = [], logprobs = [] } = given.top ?? {};
    const scored = given.runs.flatMap((run) => ("serial" in run ? [run.serial] : run.parallel));
    expect(ids).toHaveLength(scored.flat().length * count);
    for (const [at, own] of scored.flat().entries()) {
      const top = Array.from(ids.slice(at * count, (at + 1) * count));
      if (own === null) {
        expect(top).toEqual([-1, -1, -1, -1, -1]);
        continue;
      }
      const row = logits.subarray((at - 1) * vocabulary, at * vocabulary);
      const order = [...row.keys()].sort((a, b) => (row[b] ?? 0) - (row[a] ?? 0) || a - b);
      expect(top).toEqual(order.slice(0, count));
      const total = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
      for (const [n, id] of top.entries()) {
        expect(logprobs[at * count + n]).toBeCloseTo((row[id] ?? 0) - total, 4);
      }
    }
    expect((await engine.score(runs, "sum")).top).toBeUndefined();
  });

  it("ends with the chunk that is being computed when it is cancelled, and frees its KV", async () => {
    // Of its large vocabulary the engine computes a few tokens a step.
    const demo = fileURLToPath(
      new URL("../../models/demo/SmolLM2-135M-Instruct-Q4_1.gguf", import.meta.url),
    );
    const serving = new Serving({ model: demo, kvMib: 64, threads: 2 });
    const { engine } = serving;
    const long = Array.from({ length: 1_500 }, (_, i) => 300 + i);
    const scoring = engine.score([{ serial: long }], "sum", { id: 77, topLogprobs: 3 });
    const cancelled = expect(scoring).rejects.toMatchObject({ code: "cancelled" });
    await vi.waitFor(() => expect(engine.load().prefillRows).toBeGreaterThan(0), {
      timeout: 60_000,
    });
    engine.cancel(77);
    await cancelled;
    await vi.waitFor(() => expect(engine.load().running).toBe(0));
    expect(engine.load().prefillRows).toBeLessThan(long.length / 2);
    serving.expectAllFree();
  });

  it("without an id is nobody's to cancel", async () => {
    const { engine } = new Serving({ model: tiny });
    const kept = engine.score([{ serial: [4, 5] }], "sum");
    engine.cancel(0);
    expect((await kept).runs).toHaveLength(1);
    expect(refusal(() => engine.score([{ serial: [4] }], "sum", { id: -1 }))).toBe(
      "invalid_argument",
    );
    expect(refusal(() => engine.score([{ serial: [4] }], "sum", { topLogprobs: 65 }))).toBe(
      "invalid_argument",
    );
  });

  it("siblings do not see each other: changing one does not change the other", async () => {
    const serving = new Serving({ model: tiny });
    const scored = async (sibling: number[]) =>
      (
        await serving.engine.score(
          [{ serial: [4, 5, 6] }, { parallel: [[7, 8, 9, 10], sibling] }],
          "sum",
        )
      ).runs;
    const [, a] = await scored([11, 12, 13]);
    const [, b] = await scored([50]);
    if (!a || !b || !("parallel" in a) || !("parallel" in b)) throw new Error("the shape changed");
    expect(a.parallel[0]).toEqual(b.parallel[0]);
  });

  it("a parallel run without branches is allowed and changes nothing", async () => {
    const serving = new Serving({ model: tiny });
    const [before, after] = [{ serial: [4, 5, 6] }, { serial: [7, 8] }];
    for (const resume of ["sum", "max"] as const) {
      const plain = await serving.engine.score([before, after], resume, { logits: true });
      const empty = await serving.engine.score([before, { parallel: [] }, after], resume, {
        logits: true,
      });
      expect(empty.runs).toEqual([plain.runs[0], { parallel: [] }, plain.runs[1]]);
      expect(empty.logits).toEqual(plain.logits);
    }
  });

  it("a script may hold one too", async () => {
    const script = [{ serial: [4, 5] }, { parallel: [] }, { serial: [6, 7] }];
    const answer = await new Serving({ model: tiny }).ask({ prompt: [4], script }).answer;
    expect(answer.reason).toBe(finish.stop);
    expect(idsOf(byLane(answer.events)[0])).toEqual([5, 6, 7]);
  });

  it("takes the steps of a dialect, given openings and titles", async () => {
    const serving = new Serving();
    const { title_open, title_close } = JSON.parse(readFileSync(join(small, "aspd.json"), "utf8"));
    const scriptTitles = { open: title_open.ids, close: title_close.ids };
    let stages = 0;
    for (const ids of prompts) {
      const answer = await serving.answer({ prompt: ids, parallel: true, maxTokens: 400 });
      const [trunk = [], ...branches] = answer.lanes;
      if (answer.usage.stages !== 1 || answer.reason !== finish.stop) continue;
      stages++;
      const join = trunk.findIndex((token) => token.forced);
      const script = [
        { serial: [...ids, ...idsOf(trunk.slice(0, join))] },
        {
          parallel: branches.map(idsOf),
          openings: branches.map((lane) => lane.findIndex((token) => !token.forced)),
        },
        { serial: idsOf(trunk.slice(join)) },
      ];
      const replayed = await serving.answer({ prompt: ids, script, scriptTitles });
      expect(replayed.lanes.map(idsOf)).toEqual(answer.lanes.map(idsOf));
      // A script forwards its last token, too.
      expect(replayed.usage.steps).toBe(answer.usage.steps + 1);
    }
    expect(stages).toBeGreaterThan(2);
    serving.expectAllFree();
  });

  // A title opens with 7 and closes with 9 6: both are drafted after each of its tokens. Or it opens with
  // 7 8: then they are drafted once half of the close is written.
  const titles: { name: string; open: number[]; serial: number[]; saved: number }[] = [
    { name: "two titles", open: [7], serial: [4, 7, 5, 9, 6, 7, 5, 9, 6, 4], saved: 3 + 2 },
    { name: "a long title", open: [7], serial: [4, 7, 5, 4, 5, 4, 9, 6, 4], saved: 2 },
    { name: "half an end", open: [7], serial: [4, 7, 5, 9, 5, 9, 6, 7, 4], saved: 1 + 3 },
    { name: "an end that would leave nothing", open: [7], serial: [4, 7, 9, 6, 5, 4], saved: 0 },
    { name: "a begin elsewhere", open: [7], serial: [4, 7, 5, 9, 6, 4, 7, 9, 6], saved: 2 },
    { name: "no title", open: [7], serial: [4, 5, 9, 6, 5, 8], saved: 0 },
    { name: "longer markers", open: [7, 8], serial: [4, 7, 8, 5, 9, 6, 7, 8, 5, 9], saved: 3 },
    { name: "half a begin", open: [7, 8], serial: [4, 7, 8, 5, 9, 6, 7, 5, 4], saved: 2 },
  ];
  for (const { name, open, serial, saved } of titles) {
    it(`drafts a title's close and the next one's opening: ${name}`, async () => {
      const serving = new Serving({ model: tiny });
      const given = { prompt: [4], script: [{ serial }] };
      const [plain, drafting] = await Promise.all([
        serving.answer(given),
        serving.answer({ ...given, scriptTitles: { open, close: [9, 6] } }),
      ]);
      expect(idsOf(drafting.lanes[0])).toEqual(serial.slice(1));
      expect(plain.usage.steps - drafting.usage.steps).toBe(saved);
      serving.expectAllFree();
    });
  }

  it("scriptTitles with only open or close are refused", () => {
    const ask = (scriptTitles: { open: number[]; close: number[] }) => () =>
      new Serving({ model: tiny }).ask({ prompt: [4], script: [{ serial: [4, 5] }], scriptTitles });
    expect(refusal(ask({ open: [5], close: [] }))).toBe("invalid_argument");
    expect(refusal(ask({ open: [], close: [5] }))).toBe("invalid_argument");
    expect(refusal(ask({ open: [5], close: [1 << 20] }))).toBe("invalid_argument");
  });

  it("invalid openings are refused", () => {
    const serving = new Serving({ model: tiny });
    const ask = (openings: number[]) => {
      const script = [{ serial: [4, 5] }, { parallel: [[6, 7], [8]], openings }, { serial: [9] }];
      return refusal(() => serving.ask({ prompt: [4], script }));
    };
    expect(ask([1, 1])).toBe("nothing");
    for (const wrong of [[1], [1, 2], [0, 1], [1, 1, 1]])
      expect(ask(wrong)).toBe("invalid_argument");
  });
});
