// The dialect policy, rule by rule (docs/design.md, section 4). The tiny model is random, so logit
// biases steer it into each case; token constraints hold for any bias.
import { describe, expect, it } from "vitest";
import type { EngineEvent, EngineRequest, Sampling } from "../src/index.ts";
import {
  type Answer,
  aspd,
  branching,
  byLane,
  close,
  eager,
  eos,
  expectSameLogits,
  finish,
  folderLike,
  idsOf,
  markers,
  prompts,
  Serving,
  tiny,
} from "./answers.ts";

const { titleOpen, titleClose, fork, branchOpen, branchClose, join } = markers;
const everyMarker = Object.values(markers);
const model = branching();
const serving = new Serving({ model });

type Bias = readonly (readonly [number, number])[];

/** Opens a plan at once and usually continues it after each title. */
const drafting: Bias = [
  [titleOpen, 900],
  [fork, 898],
  [titleClose, 800],
  [branchClose, 400],
];

/** Greedy with a penalty, so that no sampled token repeats and titles differ. */
const varied = (logitBias: Bias, more: Sampling = {}): Sampling => ({
  frequencyPenalty: 50,
  logitBias,
  ...more,
});

const ask = (
  logitBias: Bias,
  more: Partial<EngineRequest> & { sampling?: Sampling } = {},
  by = serving,
): Promise<Answer> =>
  by.answer({
    prompt: [5, 6, 7, 40],
    parallel: true,
    maxTokens: 200,
    ...more,
    sampling: varied(logitBias, more.sampling),
  });

const trunk = (answer: Answer) => idsOf(answer.lanes[0]);
const count = (ids: readonly number[], id: number) => ids.filter((other) => other === id).length;
const of = <K extends EngineEvent["kind"]>(answer: Answer, kind: K) =>
  answer.events.filter((event): event is Extract<EngineEvent, { kind: K }> => event.kind === kind);
const reasons = (answer: Answer) => of(answer, "branchClosed").map((event) => event.reason);
/** Index of the first token of the n-th plan, or -1. */
const planAt = (answer: Answer) => trunk(answer).indexOf(titleOpen);
/** Trunk indices at which there were logits. */
const indices = (answer: Answer, lane = 0) =>
  of(answer, "logits").flatMap((event) => (event.lane === lane ? [event.index] : []));

/** Usage, counted from the events alone. */
function expectExactUsage(answer: Answer, maxTokens: number): void {
  const tokens = answer.lanes.flat();
  expect(answer.usage).toMatchObject({
    completionTokens: tokens.length,
    visibleTokens: tokens.filter((token) => token.visible).length,
    stages: of(answer, "stageOpened").length,
    branches: answer.lanes.length - 1,
    // Prefill gives the first token; every later call into JavaScript is one step.
    steps: answer.batches - 1,
  });
  expect(tokens.length).toBeLessThanOrEqual(maxTokens);
}

describe("serial mode", () => {
  it("opens no plan, even if the model prefers it", async () => {
    const answer = await ask(
      everyMarker.map((id) => [id, 1000] as const),
      { parallel: false, maxTokens: 60 },
    );
    expect(answer.lanes).toHaveLength(1);
    expect(trunk(answer).filter((id) => everyMarker.includes(id as 10))).toEqual([]);
    expect(answer.usage).toMatchObject({ completionTokens: 60, visibleTokens: 60, stages: 0 });
  });

  it("gives the same answer as a model without a dialect", async () => {
    const plain = new Serving({ model: tiny });
    const answer = await ask([], { maxTokens: 30 }, plain);
    expect(answer.usage).toMatchObject({ completionTokens: 30, stages: 0, branches: 0 });
  });
});

describe("a plan and its fork", () => {
  it("writes title after title, at the cap only the fork, and opens branches in title order", async () => {
    const answer = await ask([...eager, [fork, -1000]]);
    const [opened] = of(answer, "stageOpened");
    expect(opened).toMatchObject({ stage: 1 });
    expect(opened?.lanes.map(({ lane }) => lane)).toEqual([1, 2, 3, 4]);
    const titles = opened?.lanes.map(({ title }) => title) ?? [];
    const plan = titles.flatMap((title) => [titleOpen, ...title, titleClose]);
    expect(trunk(answer).slice(0, plan.length + 1)).toEqual([...plan, fork]);
    expectExactUsage(answer, 200);
  });

  it("forces each branch's opening, title copied, and hides it", async () => {
    const answer = await ask(eager);
    for (const { lane, title } of of(answer, "stageOpened")[0]?.lanes ?? []) {
      const forced = answer.lanes[lane]?.slice(0, title.length + 3) ?? [];
      expect(idsOf(forced)).toEqual([branchOpen, ...title, 20, 21]);
      expect(forced.every((token) => token.forced && !token.visible)).toBe(true);
    }
    const seen = answer.lanes.flat().filter((token) => token.visible);
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.some((token) => everyMarker.includes(token.id as 10))).toBe(false);
  });

  it("honours max_branches below the model's own cap, and no more than that cap above it", async () => {
    for (const [maxBranches, branches] of [
      [2, 2],
      [3, 3],
      [1000, 4],
    ] as const) {
      const answer = await ask(eager, { maxBranches });
      expect(of(answer, "stageOpened")[0]?.lanes).toHaveLength(branches);
    }
    expect((await ask(eager, { maxBranches: 1 })).usage.stages).toBe(0);
  });

  it("opens no branch for a repeated title, and keeps the plan", async () => {
    // Two different titles out of three.
    const words: Bias = [
      [100, 500],
      [101, 500],
    ];
    let met = false;
    for (let seed = 0; seed < 40 && !met; seed++) {
      const answer = await ask([...eager, ...words], {
        maxBranches: 3,
        seed,
        sampling: { temperature: 20, frequencyPenalty: 0 },
      });
      const [opened] = of(answer, "stageOpened");
      if (!opened) continue; // one word three times
      met = true;
      expect(opened.lanes).toHaveLength(2);
      expect(new Set(opened.lanes.map(({ title }) => title.join())).size).toBe(2);
      expect(count(trunk(answer).slice(0, 10), titleOpen)).toBe(3);
      expect(answer.usage.branches).toBe(answer.lanes.length - 1);
      expectExactUsage(answer, 200);
    }
    expect(met).toBe(true);
  });

  it("counts a stage's steps once for all branches", async () => {
    const answer = await ask(eager);
    expect(answer.usage.steps).toBeLessThan(answer.usage.visibleTokens + 20);
    const visibleInBranches = answer.lanes
      .slice(1)
      .flat()
      .filter((t) => t.visible).length;
    expect(visibleInBranches).toBeGreaterThan(20);
    expect(answer.usage.steps).toBeLessThan(answer.usage.completionTokens / 1.5);
  });

  it("drafted closes and openings of titles take no steps, and rejected drafts change nothing", async () => {
    // Titles of one or two tokens and plans of every length, so that drafts start at every offset of a block.
    const many = new Serving({ model: branching({ caps: { ...aspd.caps, branches: 40 } }) });
    const plans = new Set<number>();
    for (let seed = 0; seed < 60; seed++) {
      const request = {
        ...{ prompt: [5, 6, 7, 40], parallel: true, maxTokens: 400, returnLogits: true, seed },
        cacheSalt: new TextEncoder().encode(`${seed >> 1}`),
        sampling: varied(drafting, { temperature: 1, logprobs: true }),
      };
      let [steps, planned] = [0, 0];
      const answer = await many.ask(request, (events) => {
        steps++;
        const forks = events.some((event) => event.kind === "token" && event.token.id === fork);
        if (forks) planned ||= steps;
      }).answer;
      const alone = await many.answer({ ...request, sequential: true });
      expect(answer.lanes).toEqual(alone.lanes);
      for (const kind of ["logits", "stageOpened"] as const) {
        expect(of(answer, kind)).toEqual(of(alone, kind));
      }
      const plan = trunk(answer).slice(0, trunk(answer).indexOf(fork) + 1);
      const titles = count(plan, titleOpen);
      expect(plan).toHaveLength(3 * titles + 1);
      // One step for the first title's opening, one for the fork, and one for each title token.
      expect(planned).toBe(2 + titles);
      plans.add(titles);
    }
    many.expectAllFree();
    expect(plans.size).toBeGreaterThan(10);
  });
});

describe("titles that the client sees, at the beginning of their branches", () => {
  const leads = {
    opening: [{ ids: [branchOpen] }, "title"],
    visible: ["serial", "opening", "body"],
    index: [30, 31, 30, 31, 30, 31].map((id) => ({ ids: [id] })),
    caps: { branches: 6, title_tokens: 3, branch_tokens: 12, stages: 2 },
  };
  const shown = new Serving({ model: branching(leads) });
  /** Titles of any length in so few tokens that many begin with their number. */
  const numbered: Bias = [
    ...[[titleOpen, 900] as const, [fork, 870] as const],
    ...[[titleClose, 800] as const, [branchClose, 400] as const],
    ...[30, 31, 40].map((id) => [id, 780] as const),
  ];
  const plans = (bias: Bias, seed: number, more: Partial<EngineRequest> = {}) => ({
    ...{ prompt: [5, 6, 7, 40], parallel: true, maxTokens: 300, returnLogits: true, seed, ...more },
    cacheSalt: new TextEncoder().encode(`${seed}`),
    sampling: varied(bias, { temperature: 20, frequencyPenalty: 0, logprobs: true }),
  });

  const logits = (answer: Answer, lane: number) =>
    of(answer, "logits").filter((event) => event.lane === lane);

  it("a branch opens with its marker, hidden, and its title, visible", async () => {
    const answer = await ask(eager, {}, shown);
    const [opened] = of(answer, "stageOpened");
    expect(opened?.lanes.length).toBeGreaterThan(1);
    for (const { lane, title } of opened?.lanes ?? []) {
      const opening = answer.lanes[lane]?.slice(0, title.length + 1) ?? [];
      expect(idsOf(opening)).toEqual([branchOpen, ...title]);
      expect(opening.map(({ visible }) => visible)).toEqual([false, ...title.map(() => true)]);
    }
    expectExactUsage(answer, 200);
  });

  it("drafts of a title's end and of the next one's mark change nothing but the steps", async () => {
    let counted = 0;
    for (let seed = 0; seed < 40; seed++) {
      const request = plans(numbered, seed);
      let [steps, planned] = [0, 0];
      const answer = await shown.ask(request, (events) => {
        steps++;
        if (events.some((event) => event.kind === "stageOpened")) planned ||= steps;
      }).answer;
      const alone = await shown.answer({ ...request, sequential: true });
      expect(answer.lanes).toEqual(alone.lanes);
      expect(of(answer, "stageOpened")).toEqual(of(alone, "stageOpened"));
      for (const lane of answer.lanes.keys())
        expect(logits(answer, lane)).toEqual(logits(alone, lane));
      const [opened] = of(answer, "stageOpened");
      const titles = opened?.lanes.flatMap(({ title }) => title) ?? [];
      // One step for the first title's opening, one for the fork, and one for each title token that is no
      // accepted draft.
      if (opened && planned < 2 + titles.length) counted++;
    }
    shown.expectAllFree();
    expect(counted).toBeGreaterThan(0);
  });

  it("a title that is too long ends the plan, and the titles before it are used", async () => {
    let cut = 0;
    for (let seed = 0; seed < 60; seed++) {
      const answer = await shown.answer(plans(numbered, seed));
      const ids = trunk(answer);
      const [opened] = of(answer, "stageOpened");
      if (ids[0] !== titleOpen || !opened) continue;
      const plan = ids.slice(0, ids.indexOf(fork));
      const titles = plan.join().split(`${titleOpen}`).slice(1);
      const last = plan.slice(plan.lastIndexOf(titleOpen) + 1);
      expect(titles.length).toBeGreaterThan(1);
      if (last.includes(titleClose)) continue;
      cut++;
      expect(last.length).toBe(leads.caps.title_tokens + 1);
      // It leaves the context.
      expect(opened.lanes.map(({ title }) => title)).not.toContainEqual(last);
      expect(answer.lanes[0]?.[plan.length]).toMatchObject({ id: fork, forced: true });
      await expectSameLogits(shown, [5, 6, 7, 40], answer, titleOpen, "sum", true);
    }
    expect(cut).toBeGreaterThan(0);
  });
});

describe("a visible title that comes twice, whatever its number", () => {
  it("ends the plan and opens no branch", async () => {
    const numbers = [30, 31, 32, 33].map((id) => ({ ids: [id] }));
    const shown = new Serving({
      model: branching({
        opening: [{ ids: [branchOpen] }, "title"],
        visible: ["serial", "opening", "body"],
        index: numbers,
        caps: { branches: 4, title_tokens: 2, branch_tokens: 12, stages: 2 },
      }),
    });
    let ended = 0;
    for (let seed = 0; seed < 80; seed++) {
      const answer = await shown.answer({
        ...{ prompt: [5, 6, 7, 40], parallel: true, maxTokens: 200, seed },
        cacheSalt: new TextEncoder().encode(`${seed}`),
        sampling: {
          temperature: 20,
          logitBias: [
            ...[[titleOpen, 900] as const, [fork, 840] as const, [titleClose, 780] as const],
            ...[30, 31, 32, 41, 42].map((id) => [id, 780] as const),
          ],
        },
      });
      const ids = trunk(answer);
      const [opened] = of(answer, "stageOpened");
      if (ids[0] !== titleOpen || !opened) continue;
      const plan = ids.slice(0, ids.indexOf(fork));
      const starts = plan.flatMap((id, i) => (id === titleOpen ? [i] : []));
      const titles = starts.map((at, i) =>
        plan.slice(at + 1, starts[i + 1] ?? plan.length).filter((id) => id !== titleClose),
      );
      const names = titles.map((title, i) =>
        (title[0] === numbers[i]?.ids[0] ? title.slice(1) : title).join(),
      );
      expect(new Set(names.slice(0, opened.lanes.length)).size).toBe(opened.lanes.length);
      if (names.length === opened.lanes.length) continue;
      ended++;
      expect(names.length).toBe(opened.lanes.length + 1);
      const repeated = names.slice(0, -1).includes(names.at(-1) ?? "");
      expect(repeated || (titles.at(-1)?.length ?? 0) > 2).toBe(true);
      expect(answer.lanes[0]?.[plan.length]).toMatchObject({ id: fork, forced: true });
    }
    expect(ended).toBeGreaterThan(0);
  });

  it("goes on, if the plan would have too few titles without it", async () => {
    const shown = new Serving({
      model: branching({
        opening: [{ ids: [branchOpen] }, "title"],
        visible: ["serial", "opening", "body"],
        caps: { branches: 4, title_tokens: 4, branch_tokens: 12, stages: 1 },
      }),
    });
    // Every title would be the token 100 alone.
    const bias: Bias = [...eager, [100, 700]];
    const answer = await ask(bias, { sampling: { frequencyPenalty: 0 } }, shown);
    expect(of(answer, "stageOpened")[0]?.lanes.map(({ title }) => title)).toEqual([
      [100],
      [100, 100],
    ]);
    expect(trunk(answer).slice(0, 11)).toEqual([
      ...[titleOpen, 100, titleClose, titleOpen, 100, 100, titleClose],
      ...[titleOpen, 100, titleClose, fork],
    ]);
  });
});

describe("a visible title that says an earlier one's words, where tokens have texts", () => {
  const [soil, number] = [100, 30];
  const texts: string[] = Array.from({ length: 192 }, (_, id) => (id < 10 ? "" : "."));
  texts[soil] = " Soil";
  texts[number] = "1";
  const words = { sequentialTitles: [], closingTitles: [], procedureWords: [] };
  const dialect = {
    opening: [{ ids: [branchOpen] }, "title"],
    visible: ["serial", "opening", "body"],
    index: [number, 31, 32, 33].map((id) => ({ ids: [id] })),
    caps: { branches: 5, title_tokens: 6, branch_tokens: 12, stages: 2 },
  };
  const shown = new Serving({ outline: { texts, ...words }, model: branching(dialect) });
  const plain = { sampling: { frequencyPenalty: 0 } };

  it("goes on with a word, and the plan ends behind the second one that had to", async () => {
    const answer = await ask([...eager, [fork, 890], [soil, 700]], plain, shown);
    const titles = of(answer, "stageOpened")[0]?.lanes.map(({ title }) => title);
    expect(titles).toEqual([[soil], [soil, soil], [soil, soil, soil]]);
  });

  it("is not counted on behind the join", async () => {
    const bias: Bias = [...eager, [fork, 890], [soil, 700], [number, 750]];
    const behindJoin = async (serving: Serving) => {
      const ids = trunk(await ask(bias, plain, serving));
      return ids[ids.indexOf(join) + 1];
    };
    expect(await behindJoin(shown)).toBe(soil);
    expect(await behindJoin(new Serving({ model: branching(dialect) }))).toBe(number);
  });
});

describe("a plan that can't be used is dropped", () => {
  const cases: { name: string; bias: Bias; sampling?: Sampling; plan: number; why: number }[] = [
    {
      name: "of one title",
      bias: [...eager, [fork, 950]],
      plan: 4,
      why: 1,
    },
    {
      name: "of one title, repeated",
      bias: [...eager, [100, 700]],
      sampling: { frequencyPenalty: 0 },
      plan: 13,
      why: 1,
    },
    {
      name: "with a title that is too long",
      bias: [[titleOpen, 900]],
      plan: 5,
      why: 2,
    },
  ];
  it.each(cases)("$name", async ({ bias, sampling, plan, why }) => {
    const answer = await ask(bias, {
      maxTokens: 60,
      returnLogits: true,
      ...(sampling ? { sampling } : {}),
    });
    const ids = trunk(answer);
    expect(planAt(answer)).toBe(0);
    expect(ids.slice(plan).filter((id) => everyMarker.includes(id as 10))).toEqual([]);
    expect(answer.usage).toMatchObject({ stages: 0, branches: 0, completionTokens: 60 });
    expect(answer.usage).toMatchObject({ visibleTokens: 60 - plan, droppedPlan: why });
    // The answer continues from the token before the plan, which gives its logits again.
    const at = indices(answer);
    expect(at).toEqual([...at].sort((a, b) => a - b));
    expect(new Set(at).size).toBe(at.length);
    expect(at).toContain(plan);
    // What follows equals the answer of the same model without a plan.
    const serial = await ask(bias, {
      maxTokens: 60 - plan,
      parallel: false,
      ...(sampling ? { sampling } : {}),
    });
    expect(ids.slice(plan)).toEqual(trunk(serial));
  });

  it("of visible titles: the first is written as text, and the answer goes on behind it", async () => {
    const visible = new Serving({
      model: branching({
        opening: [{ ids: [branchOpen] }, "title"],
        visible: ["serial", "opening", "body"],
        caps: { branches: 4, title_tokens: 4, branch_tokens: 12, stages: 1 },
      }),
    });
    for (const [bias, plan, title, why] of [
      [[...eager, [fork, 950]], 4, [1, 2], 1],
      [[[titleOpen, 900]], 6, [1, 6], 2],
    ] as [Bias, number, [number, number], number][]) {
      const answer = await ask(bias, { maxTokens: 60, returnLogits: true }, visible);
      const first = trunk(answer).slice(...title);
      const written = answer.lanes[0]?.slice(plan, plan + first.length) ?? [];
      expect(idsOf(written)).toEqual(first);
      expect(written.every(({ forced, visible }) => forced && visible)).toBe(true);
      expect(answer.usage).toMatchObject({ stages: 0, droppedPlan: why });
      const ends = answer.reason === finish.stop ? 1 : 0;
      expect(answer.usage.visibleTokens).toBe(answer.usage.completionTokens - plan - ends);
      await expectSameLogits(visible, [5, 6, 7, 40], answer, titleOpen);
    }
    visible.expectAllFree();
  });

  it("one that max_tokens has no room for leaves the rest of it to the text", async () => {
    const answer = await ask([[titleOpen, 900]], { maxTokens: 5 });
    expect(answer.reason).toBe(finish.length);
    expect(answer.usage).toMatchObject({ completionTokens: 5, visibleTokens: 4, droppedPlan: 3 });
    serving.expectAllFree();
  });
});

describe("inside a branch", () => {
  it("an end token closes the branch and is not written", async () => {
    const answer = await ask([...eager, [eos, 700]]);
    expect(reasons(answer).slice(0, 4)).toEqual([close.eos, close.eos, close.eos, close.eos]);
    for (const lane of answer.lanes.slice(1)) {
      expect(idsOf(lane)).not.toContain(eos);
      expect(lane.at(-1)).toMatchObject({ id: branchClose, forced: true, visible: false });
    }
    expect(answer.reason).toBe(finish.stop); // the trunk may end, and does
    expect(trunk(answer).at(-1)).toBe(eos);
    expectExactUsage(answer, 200);
  });

  it("so does a stop token of the request", async () => {
    const answer = await ask([...eager, [77, 700]], { stopTokens: [77] });
    expect(reasons(answer)[0]).toBe(close.eos);
    expect(answer.lanes.slice(1).flatMap(idsOf)).not.toContain(77);
    expect(answer.reason).toBe(finish.stop);
  });

  it("the cap closes a branch at its last token", async () => {
    const answer = await ask([...eager, [branchClose, -1000]]);
    expect(reasons(answer)[0]).toBe(close.cap);
    for (const lane of answer.lanes.slice(1, 5)) {
      expect(lane).toHaveLength(aspd.caps.branch_tokens);
      expect(lane.at(-1)).toMatchObject({ id: branchClose, forced: true });
    }
  });

  it("the model's marker closes it, and no other marker is possible", async () => {
    const answer = await ask([
      [titleClose, 1000],
      [titleOpen, 900],
      [join, 1000],
      [fork, 800],
      [branchOpen, 1000],
      [branchClose, 700],
    ]);
    expect(reasons(answer)[0]).toBe(close.marker);
    for (const lane of answer.lanes.slice(1)) {
      expect(idsOf(lane).slice(4)).toEqual([branchClose]);
      expect(lane.at(-1)?.forced).toBe(false);
    }
  });
});

describe("after the join", () => {
  it("no plan follows at once, one may follow later, up to max_stages", async () => {
    const answer = await ask(eager);
    const ids = trunk(answer);
    expect(count(ids, join)).toBe(2);
    expect(answer.usage.stages).toBe(aspd.caps.stages);
    const first = ids.indexOf(join);
    expect(ids[first + 1]).not.toBe(titleOpen);
    expect(ids[first + 2]).toBe(titleOpen);
    expect(ids.slice(ids.lastIndexOf(join)).includes(titleOpen)).toBe(false);
    expect(answer.lanes[0]?.[first]).toMatchObject({ forced: true, visible: false });
    expectExactUsage(answer, 200);
  });

  it("markers of several tokens are forced whole", async () => {
    const long = new Serving({
      model: branching({
        opening: [{ ids: [13, 50, 51] }, "title", { ids: [20] }, { ids: [22] }],
        join: { ids: [15, 16, 17] },
      }),
    });
    const answer = await ask(eager, { maxBranches: 2 }, long);
    const ids = trunk(answer);
    expect(ids.slice(ids.indexOf(15), ids.indexOf(15) + 3)).toEqual([15, 16, 17]);
    expect(idsOf(answer.lanes[1]).slice(0, 3)).toEqual([13, 50, 51]);
    expect(idsOf(answer.lanes[1]).slice(4, 6)).toEqual([20, 22]);
    long.expectAllFree();
  });
});

describe("the budget", () => {
  it("is exact to the token for every size, and ends no plan in the middle", async () => {
    const full = await ask(eager, { ignoreEos: true });
    expect(full.reason).toBe(finish.length);
    expect(full.usage.completionTokens).toBe(200);
    const [first] = of(full, "stageOpened");
    const ends = new Set<string>();
    for (let maxTokens = 1; maxTokens <= 90; maxTokens++) {
      const answer = await ask(eager, { maxTokens, ignoreEos: true });
      expect(answer.reason).toBe(finish.length);
      expectExactUsage(answer, maxTokens);
      const stages = of(answer, "stageOpened");
      const opened = stages.flatMap(({ lanes }) => lanes);
      // Every plan opens branches, or is dropped.
      const plans = trunk(answer).join().split(`${titleOpen}`).length > 1;
      expect(plans).toBe(stages.length > 0 || answer.usage.droppedPlan > 0);
      // Every branch and every stage is closed.
      expect(of(answer, "branchClosed")).toHaveLength(opened.length);
      expect(of(answer, "stageClosed")).toHaveLength(stages.length);
      const cut = reasons(answer).filter((reason) => reason === close.cap).length;
      const spent = answer.usage.completionTokens;
      // Live branches advance together or not at all: the rest of the budget was too small for a step.
      if (cut > 0 && opened.length <= 4) expect(maxTokens - spent).toBeLessThan(2 * cut);
      ends.add(`${opened.length} branches, dropped ${answer.usage.droppedPlan}`);
      if (stages[0]?.lanes.length !== first?.lanes.length) continue;
      // With the same plan each branch is a prefix of the same branch in the full answer.
      for (const { lane } of first?.lanes ?? []) {
        const ids = idsOf(answer.lanes[lane]);
        expect(ids).toEqual(idsOf(full.lanes[lane]).slice(0, ids.length));
      }
    }
    expect([...ends]).toEqual(
      expect.arrayContaining(["0 branches, dropped 3", "2 branches, dropped 0"]),
    );
    serving.expectAllFree();
  });

  it("decides how many branches a plan has; the answer ends where a serial one would", async () => {
    const room = 6;
    const roomy = new Serving({
      model: branching({ caps: { ...aspd.caps, min_room: 40, branch_room: room } }),
    });
    const branches: number[] = [];
    for (let maxTokens = 30; maxTokens <= 90; maxTokens++) {
      const answer = await ask([...eager, [fork, -1000]], { maxTokens, ignoreEos: true }, roomy);
      expectExactUsage(answer, maxTokens);
      const [opened, second] = of(answer, "stageOpened");
      const lanes = opened?.lanes ?? [];
      branches.push(lanes.length);
      // What a plan begins with is not written where it can't be used.
      if (maxTokens < 40) expect(trunk(answer)).not.toContain(titleOpen);
      if (lanes.length === 0) continue;
      for (const { lane, title } of lanes) {
        const body = idsOf(answer.lanes[lane]).slice(title.length + 3);
        if (!body.includes(branchClose)) expect(body.length).toBeGreaterThanOrEqual(room);
      }
      if (lanes.length === aspd.caps.branches) continue;
      expect(second).toBeUndefined();
      expect(trunk(answer).at(-1)).toBe(fork);
      expect(answer.reason).toBe(finish.length);
    }
    expect(branches).toEqual([...branches].sort((a, b) => a - b));
    expect([...new Set(branches)]).toEqual([0, 2, 3, 4]);
    roomy.expectAllFree();
  });

  it("is limited by the prompt and the model's context", async () => {
    const answer = await ask([], { prompt: new Array(500).fill(9), maxTokens: 10_000 });
    expect(answer.usage.completionTokens).toBe(12);
    expect(answer.reason).toBe(finish.length);
  });
});

describe("end tokens and biases", () => {
  it("the model's own end token stops the answer and is not visible", async () => {
    const answer = await ask([[eos, 900]]);
    expect(answer.reason).toBe(finish.stop);
    expect(answer.usage).toMatchObject({ completionTokens: 1, visibleTokens: 0, steps: 0 });
  });

  it("ignoreEos bans it everywhere, and the request's stop tokens still end the answer", async () => {
    const on = await ask([...eager, [eos, 700]], { ignoreEos: true });
    expect(on.lanes.flatMap(idsOf)).not.toContain(eos);
    expect(on.reason).toBe(finish.length);
    const stopped = await ask([[77, 700]], { ignoreEos: true, stopTokens: [77] });
    expect(stopped.reason).toBe(finish.stop);
  });

  it("logit_bias changes greedy sampling, and log-probabilities stay those of the raw logits", async () => {
    const plain = await ask([], { maxTokens: 1, sampling: { logprobs: true, topLogprobs: 5 } });
    const first = plain.lanes[0]?.[0];
    const other = first?.top?.[3];
    expect(first?.top?.[0]).toEqual({ id: first?.id, logprob: first?.logprob });
    const biased = await ask([[other?.id ?? 0, 500]], {
      maxTokens: 1,
      sampling: { logprobs: true, topLogprobs: 5 },
    });
    expect(biased.lanes[0]?.[0]).toMatchObject({ ...other, top: first?.top });
  });

  it("penalties: siblings do not count each other, the trunk counts every branch after the join", async () => {
    // Decreasing biases: a token that is counted falls behind the next one.
    const ladder = Array.from({ length: 16 }, (_, i) => 100 + i);
    const answer = await ask(
      [...eager, [branchClose, -1000], ...ladder.map((id, i) => [id, 90 - 6 * i] as const)],
      { maxBranches: 2, maxTokens: 60, sampling: { frequencyPenalty: 100 } },
    );
    const [first, second] = of(answer, "stageOpened")[0]?.lanes.map(({ title }) => title) ?? [];
    expect([first, second]).toEqual([[100], [101]]);
    const bodies = answer.lanes.slice(1, 3).map((lane) => idsOf(lane).slice(4, -1));
    expect(bodies).toEqual([ladder.slice(2, 9), ladder.slice(2, 9)]);
    const ids = trunk(answer);
    expect(ids[ids.indexOf(join) + 1]).toBe(109);
    expect(answer.usage.stages, "markers come again all the same").toBe(2);
  });
});

describe("a checkpoint that computes NaN", () => {
  it("still ends its answers, with allowed tokens", async () => {
    const broken = await brokenModel();
    const at = new Serving({ model: broken });
    for (const temperature of [0, 1]) {
      const answer = await at.answer({
        prompt: [5],
        parallel: true,
        maxTokens: 40,
        sampling: { temperature, topP: 0.9, logprobs: true, topLogprobs: 3, logitBias: eager },
      });
      expect(answer.usage.completionTokens).toBe(40);
    }
    at.expectAllFree();
  });

  /** The tiny model with NaN for every weight. */
  async function brokenModel(): Promise<string> {
    const { readFileSync } = await import("node:fs");
    const file = readFileSync(`${tiny}/model.safetensors`);
    file.fill(0xff, 8 + Number(file.readBigUInt64LE(0)));
    return folderLike(model, { "model.safetensors": file });
  }
});

describe("the small model", () => {
  it("decodes a branching answer in fewer steps than it has visible tokens", async () => {
    const smallServing = new Serving();
    let branched = 0;
    for (const ids of prompts) {
      const maxTokens = 400;
      const answer = await smallServing.answer({ prompt: ids, parallel: true, maxTokens });
      expectExactUsage(answer, maxTokens);
      expect(answer.lanes).toEqual(byLane(answer.events));
      if (answer.usage.branches === 0) continue;
      branched++;
      expect(answer.usage.steps).toBeLessThan(answer.usage.visibleTokens);
    }
    expect(branched).toBeGreaterThan(0);
    smallServing.expectAllFree();
  });
});
