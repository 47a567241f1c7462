// Prompted dialects (docs/design.md, section 4): the prompt asks a model without markers for a plan.
// Titles are lines, branches have headings, and without a plan the answer equals that of serial mode.
import { describe, expect, it } from "vitest";
import type { EngineEvent, EngineRequest, LoggedLane } from "../src/index.ts";
import {
  type Answer,
  close,
  eos,
  expectSameLogits,
  finish,
  idsOf,
  logOf,
  refusal,
  Serving,
  tiny,
  written,
} from "./answers.ts";

const [dash, none, line, blank, heading, gap] = [90, 91, 92, 93, 94, 95];
const caps = { branches: 4, title_tokens: 3, branch_tokens: 16, stages: 1 };
const dialect = JSON.stringify({
  ...{ version: 1, name: "prompted", prompted: true, resume: "sum", caps },
  title_open: { ids: [dash] },
  no_plan: { ids: [none] },
  title_close: { ids: [line], or: [line, blank] },
  fork: { ids: [line], or: [blank] },
  opening: [{ ids: [heading] }, "title", { ids: [blank] }],
  branch_close: { ids: [gap], or: [heading] },
  join: { ids: [line] },
  visible: ["serial", "opening", "body", "branch_close"],
});
const options = { model: tiny, dialect };

/** The plan's prompt differs from the prompt after the fifth token. */
const prompt = [5, 6, 7, 40, 41, 42, 43];
const plan = { at: 5, ids: [44, 45, 46, 47] };
type Ask = Omit<EngineRequest, "id">;

const serving = new Serving(options);
const scripted = (log: LoggedLane[], more: Partial<Ask> = {}) =>
  serving.answer({ prompt, plan, parallel: true, maxTokens: 120, log, ...more });
const lane0 = (...tokens: number[]): LoggedLane[] => [{ lane: 0, tokens }];
const titles = [dash, 100, 101, line, dash, 102, line];
const opening = (...title: number[]) => [heading, ...title, blank];
const begun: LoggedLane[] = [
  { lane: 0, tokens: [...titles, line] },
  { lane: 1, tokens: opening(100, 101) },
  { lane: 2, tokens: opening(102) },
];
const shown = (answer: Answer, lane: number) =>
  (answer.lanes[lane] ?? []).filter((token) => token.visible).map((token) => token.id);
const serially = (maxTokens: number, more: Partial<Ask> = {}) =>
  serving.answer({ prompt, maxTokens, sampling: { logprobs: true }, ...more });

describe("a prompted plan", () => {
  it("opens one branch per title, under a heading that the client sees", async () => {
    const answer = await scripted([
      { lane: 0, tokens: [...titles, line, line, 120, 121, eos] },
      { lane: 1, tokens: [...opening(100, 101), 130, 131, gap] },
      { lane: 2, tokens: [...opening(102), 140, gap] },
    ]);
    expect(answer.reason).toBe(finish.stop);
    const opened = answer.events.find((event) => event.kind === "stageOpened");
    expect(opened?.lanes.map(({ title }) => title)).toEqual([[100, 101], [102]]);
    expect([0, 1, 2].map((lane) => shown(answer, lane))).toEqual([
      [120, 121],
      [...opening(100, 101), 130, 131, gap],
      [...opening(102), 140, gap],
    ]);
    expect(answer.usage).toMatchObject({ promptTokens: 11, stages: 1, branches: 2 });
    expect(answer.usage.visibleTokens).toBe(answer.lanes.flat().filter((t) => t.visible).length);
  });

  it("follows its own prompt in the context, and the answer's prompt is not in it", async () => {
    const precise = new Serving({ ...options, dtype: "fp32" });
    const answer = await precise.answer({
      ...{ prompt, plan, parallel: true, maxTokens: 90, returnLogits: true, seed: 3 },
      ...{ log: begun, sampling: { temperature: 1, logitBias: [[gap, 2]] } },
    });
    expect(answer.events.some(({ kind }) => kind === "stageClosed")).toBe(true);
    await expectSameLogits(precise, prompt.slice(0, plan.at), answer, [-1], "sum", plan.ids);
  });

  it("ends with its last title: a blank line or an end token closes title and plan", async () => {
    for (const end of [blank, eos]) {
      const sampling = {
        logitBias: [
          [end, 900],
          [line, -900],
        ] as const,
      };
      const answer = await scripted(lane0(dash, 101), { sampling });
      // The title closes and no second one follows: one title is not a plan.
      expect(idsOf(answer.lanes[0]).slice(0, 4)).toEqual([dash, 101, line, line]);
      expect(answer.lanes[0]?.slice(2, 4).every((token) => token.forced)).toBe(true);
      const two = await scripted(lane0(...titles), { sampling });
      expect(idsOf(two.lanes[0]).slice(0, 8)).toEqual([...titles, line]);
      expect(two.usage.branches).toBe(2);
    }
  });

  it.each([
    ["that there is none", [none]],
    ["of one title", [dash, 100, line, line]],
    ["of one title, repeated", [dash, 100, line, dash, 100, line, line]],
    ["with a title that is too long", [dash, 100, 101, 102, 103]],
  ])("%s, gives what serial mode gives, to the bit", async (_, bad) => {
    const sampling = { logprobs: true, frequencyPenalty: 2 };
    const answer = await scripted(lane0(...bad), { sampling, maxTokens: 60 });
    const serial = await serially(60 - bad.length, { sampling });
    expect(written(answer)[0]?.slice(bad.length)).toEqual(written(serial)[0]);
    expect(shown(answer, 0)).toEqual(shown(serial, 0));
    expect(answer.usage).toMatchObject({ stages: 0, branches: 0, completionTokens: 60 });
    serving.expectAllFree();
  });

  it("that is only an end token is no plan", async () => {
    const answer = await scripted([], { sampling: { logitBias: [[eos, 900]] } });
    expect(idsOf(answer.lanes[0])).toEqual([none, eos]);
  });

  it("is dropped in the middle of a long prompt as well", async () => {
    const long = Array.from({ length: 150 }, (_, i) => 5 + (i % 80));
    for (const at of [1, 15, 16, 17, 149]) {
      const salt = new Uint8Array([at]);
      const answer = await serving.answer({
        ...{ prompt: long, plan: { at, ids: plan.ids }, parallel: true, maxTokens: 20 },
        ...{ log: lane0(none), sampling: { logprobs: true }, cacheSalt: salt },
      });
      const serial = await serially(19, { prompt: long, cacheSalt: salt });
      expect(written(answer)[0]?.slice(1)).toEqual(written(serial)[0]);
      expect(serial.usage.cachedTokens).toBe(144); // what the dropped plan's answer computed
    }
    serving.expectAllFree();
  });
});

describe("a branch", () => {
  const bias = (...pairs: [number, number][]) => ({ sampling: { logitBias: pairs } });
  it.each([
    ["another heading", heading, close.eos],
    ["the end of the answer", eos, close.eos],
    ["the gap", gap, close.marker],
  ])("ends with %s, and with the gap in its place", async (_, token, reason) => {
    const answer = await scripted(begun, bias([token, 900]));
    const reasons = answer.events.flatMap((e) => (e.kind === "branchClosed" ? [e.reason] : []));
    expect(reasons).toEqual([reason, reason]);
    expect(idsOf(answer.lanes[1])).toEqual([...opening(100, 101), gap]);
    expect(shown(answer, 2)).toEqual([...opening(102), gap]);
  });

  it("ends at its cap", async () => {
    const answer = await scripted(begun, bias([gap, -900], [heading, -900], [eos, -900]));
    expect(answer.lanes[1]).toHaveLength(caps.branch_tokens);
    expect(answer.lanes[1]?.at(-1)).toMatchObject({ id: gap, forced: true, visible: true });
  });
});

describe("in text", () => {
  it("nothing is a marker", async () => {
    const text = [dash, none, line, blank, heading, gap, 110];
    const answer = await scripted(lane0(none, ...text), { maxTokens: 40 });
    expect(shown(answer, 0).slice(0, text.length)).toEqual(text);
  });

  it("serial mode gives the answer of a model without a dialect", async () => {
    const plain = new Serving({ model: tiny });
    for (const more of [{ parallel: false }, { maxBranches: 1, parallel: true }]) {
      const answer = await serving.answer({ prompt, plan, maxTokens: 40, ...more });
      expect(answer.lanes).toEqual((await plain.answer({ prompt, maxTokens: 40 })).lanes);
      expect(answer.usage.promptTokens).toBe(prompt.length);
    }
  });
});

describe("an unfinished answer", () => {
  const sampling = {
    temperature: 1,
    logitBias: [
      [dash, 6],
      [line, 7],
      [gap, 4],
      [heading, 3],
      [eos, 2],
    ] as const,
  };

  it("continues on another engine from any step", async () => {
    const elsewhere = new Serving({ ...options, kvMib: 1 });
    let branches = 0;
    let dropped = 0;
    for (let seed = 0; seed < 12; seed++) {
      const request: Ask = { prompt, plan, parallel: true, maxTokens: 80, seed, sampling };
      const steps: EngineEvent[][] = [];
      const answer = await serving.ask(request, (events) => steps.push(events)).answer;
      branches += answer.usage.branches;
      dropped += answer.usage.branches === 0 ? 1 : 0;
      for (let cut = 1; cut < steps.length; cut += 3) {
        const again = await elsewhere.answer({
          ...request,
          log: logOf(steps.slice(0, cut).flat()),
        });
        expect(again.lanes, `seed ${seed}, after step ${cut}`).toEqual(answer.lanes);
        expect(again.usage).toEqual(answer.usage);
      }
    }
    expect(branches).toBeGreaterThan(0);
    expect(dropped).toBeGreaterThan(0);
    elsewhere.expectAllFree();
  });

  it("with far too little KV, equals the answer alone", async () => {
    const small = new Serving({ ...options, kvMib: 0.12, prefillRows: 8 });
    const requests = Array.from(
      { length: 16 },
      (_, seed): Ask => ({
        ...{ prompt: [...prompt, seed + 50], plan, parallel: true, maxTokens: 80, seed, sampling },
        ignoreEos: true,
        log: seed % 2 ? begun : [],
      }),
    );
    const answers = await Promise.all(requests.map((request) => small.answer(request)));
    for (const [i, request] of requests.entries()) {
      expect(answers[i]?.lanes).toEqual((await serving.answer(request)).lanes);
    }
    expect(small.engine.load().preemptions).toBeGreaterThan(0);
    small.expectAllFree();
  });

  it("has an exact budget", async () => {
    for (let maxTokens = 1; maxTokens < 60; maxTokens++) {
      const answer = await serving.answer({
        ...{ prompt, plan, parallel: true, maxTokens, seed: maxTokens, sampling },
      });
      expect(answer.usage.completionTokens).toBe(answer.lanes.flat().length);
      expect(answer.usage.completionTokens).toBeLessThanOrEqual(maxTokens);
    }
    serving.expectAllFree();
  });
});

it("is refused if the plan's prompt leaves nothing of the prompt", () => {
  for (const at of [0, 7, 8, -1]) {
    const ask = () => serving.ask({ prompt, plan: { at, ids: [4] }, parallel: true, maxTokens: 9 });
    expect(refusal(ask)).toMatch(/invalid_argument/);
  }
  const unknown = { at: 5, ids: [1 << 20] };
  expect(refusal(() => serving.ask({ prompt, plan: unknown, parallel: true, maxTokens: 9 }))).toBe(
    "invalid_argument",
  );
});
