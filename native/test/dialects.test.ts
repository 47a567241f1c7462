// Dialects whose markers are sequences (docs/design.md, section 4): tags of one token followed by forced
// tokens, as in Multiverse and NPR, and the same tags as sequences of ordinary tokens. A log scripts
// each answer: the dialect policy replays it as if it had sampled the tokens, and emits them again.
import { describe, expect, it } from "vitest";
import type { EngineEvent, EngineRequest, LoggedLane } from "../src/index.ts";
import {
  type Answer,
  anyRoom,
  close,
  endsWith,
  eos,
  expectSameLogits,
  finish,
  folderLike,
  idsOf,
  logOf,
  refusal,
  Serving,
  tiny,
} from "./answers.ts";

const [line, colon, one, two, three, four] = [30, 31, 41, 42, 43, 44];
const part = (...ids: number[]) => ({ ids });

/** Every tag as its ids, in the order of an answer. */
interface Tags {
  plan: number[];
  goal: number[];
  title: number[];
  titleEnd: number[];
  fork: number[];
  branch: number[];
  branchEnd: number[];
  join: number[];
  tailEnd: number[];
  stageEnd: number[];
}
const names = "plan goal title titleEnd fork branch branchEnd join tailEnd stageEnd".split(" ");

/** One token each, and three ordinary tokens each: "<" or "</", a name, ">". */
const single = Object.fromEntries(names.map((name, i) => [name, [10 + i]])) as unknown as Tags;
const spelled = Object.fromEntries(
  names.map((name, i) => [name, [/End|fork/.test(name) ? 51 : 50, 60 + i, 52]]),
) as unknown as Tags;

const caps = { branches: 4, title_tokens: 3, branch_tokens: 24, stages: 2, ...anyRoom };

const dialectOf = (tags: Tags, change: object = {}) => ({
  ...{ version: 1, name: "sequences", resume: "max", visible: ["serial", "body", "tail"], caps },
  plan_open: [part(...tags.plan), part(line, ...tags.goal, line)],
  title_open: [part(...tags.title), part(line), "index", part(colon)],
  title_close: [part(...tags.titleEnd), part(line)],
  fork: [part(...tags.fork), part(line)],
  opening: [part(...tags.branch), part(line), "index", part(colon)],
  branch_close: [part(...tags.branchEnd), part(line)],
  join: [part(...tags.join), part(line)],
  tail_close: [part(...tags.tailEnd), part(line, ...tags.stageEnd, line)],
  index: [one, two, three, four].map((id) => part(id)),
  ...(tags === single && { reserved: [tags.goal, tags.stageEnd].map((ids) => part(...ids)) }),
  ...change,
});

const modelOf = (tags: Tags, change: object = {}) =>
  folderLike(tiny, { "aspd.json": JSON.stringify(dialectOf(tags, change)) });

const prompt = [5, 6, 7, 40];
type Ask = Omit<EngineRequest, "id">;

const startsWith = (ids: readonly number[], start: readonly number[]) =>
  start.every((id, i) => ids[i] === id);

/** The visible text of each lane, split at markers. */
function seen(answer: Answer): number[][][] {
  const runs: number[][][] = [];
  const hidden = new Map<number, number[]>(); // not released so far
  const show = (lane: number, ids: number[]) => {
    // Hidden tokens before these belonged to a marker.
    const before = hidden.get(lane) ?? [];
    const at = ids.length === 0 ? -1 : before.findIndex((_, i) => startsWith(before.slice(i), ids));
    const marker = at === -1 ? before : before.slice(0, at);
    hidden.set(lane, at === -1 ? [] : before.slice(at + ids.length));
    runs[lane] ??= [[]];
    if (marker.length > 0) runs[lane].push([]);
    runs[lane].at(-1)?.push(...ids);
  };
  for (const event of answer.events) {
    if (event.kind === "released")
      show(
        event.lane,
        event.tokens.map(({ id }) => id),
      );
    if (event.kind !== "token") continue;
    const { lane, token } = event;
    if (token.visible) {
      hidden.set(lane, [...(hidden.get(lane) ?? []), token.id]);
      show(lane, [token.id]);
    } else hidden.set(lane, [...(hidden.get(lane) ?? []), token.id]);
  }
  return runs.map((lane) => (lane ?? []).filter((run) => run.length > 0));
}

const stagesOf = (answer: Answer) =>
  answer.events.flatMap((event) => (event.kind === "stageOpened" ? [event] : []));

describe.each([
  ["tags of one token", single],
  ["tags of ordinary tokens", spelled],
])("%s", (_, tags) => {
  const serving = new Serving({ model: modelOf(tags) });
  const plan = [
    ...[...tags.plan, line, ...tags.goal, line],
    ...[...tags.title, line, one, colon, 100, 101, ...tags.titleEnd, line],
    ...[...tags.title, line, two, colon, 102, ...tags.titleEnd, line],
    ...[...tags.fork, line],
  ];
  const opening = (number: number) => [...tags.branch, line, number, colon];
  const ending = [...tags.branchEnd, line];
  /** An answer with one stage, its branches of different lengths. */
  const script: LoggedLane[] = [
    {
      lane: 0,
      tokens: [
        ...[110, 111, ...plan, ...tags.join, line],
        ...[120, 121, ...tags.tailEnd, line, ...tags.stageEnd, line, 122, eos],
      ],
    },
    { lane: 1, tokens: [...opening(one), 130, 131, 132, 133, ...ending] },
    { lane: 2, tokens: [...opening(two), 140, ...ending] },
  ];
  const scripted = (log: LoggedLane[], more: Partial<Ask> = {}, by = serving) =>
    by.answer({ prompt, parallel: true, maxTokens: 200, log, ...more });
  /** The same up to its branches' openings. */
  const begun = script.map(({ lane, tokens }) => ({
    lane,
    tokens: tokens.slice(0, lane === 0 ? 2 + plan.length : opening(1).length),
  }));
  const lane0 = (...tokens: number[]): LoggedLane[] => [{ lane: 0, tokens }];

  it("an answer has its tags in order, and the client sees none of them", async () => {
    const answer = await scripted(script);
    expect(answer.lanes.map(idsOf)).toEqual(script.map(({ tokens }) => tokens));
    expect(answer.reason).toBe(finish.stop);
    const [stage] = stagesOf(answer);
    expect(stage?.lanes).toEqual([
      { lane: 1, title: [100, 101] },
      { lane: 2, title: [102] },
    ]);
    expect(seen(answer)).toEqual([
      [[110, 111], [120, 121], [122]],
      [[130, 131, 132, 133]],
      [[140]],
    ]);
    expect(answer.usage).toMatchObject({ stages: 1, branches: 2, visibleTokens: 10 });
    // Forced tokens take no step of their own, nor does the one drafted title.
    const forced = answer.lanes.flat().filter((token) => token.forced).length;
    const sampled = answer.lanes.map((lane) => lane.filter((token) => !token.forced).length);
    const [trunk = 0, ...branches] = sampled;
    expect(forced).toBeGreaterThan(20);
    expect(answer.usage.steps).toBe(trunk + Math.max(...branches) - 2);
  });

  it("the trunk resumes at start plus the longest branch", async () => {
    const precise = new Serving({ model: modelOf(tags), dtype: "fp32" });
    const answer = await precise.answer({
      ...{ prompt, parallel: true, maxTokens: 150, returnLogits: true, seed: 4 },
      log: begun,
      sampling: { temperature: 1, frequencyPenalty: 1, logitBias: [[eos, 2]] },
    });
    const lengths = answer.lanes.slice(1).map((lane) => lane.length);
    expect(answer.events.some((event) => event.kind === "stageClosed")).toBe(true);
    expect(new Set(lengths).size, "branches of different lengths").toBeGreaterThan(1);
    await expectSameLogits(precise, prompt, answer, tags.plan, "max");
    await expect(expectSameLogits(precise, prompt, answer, tags.plan, "sum")).rejects.toThrow();
  });

  it("the cap on branches forces the fork, and a repeated title opens no branch", async () => {
    const title = (number: number, id: number) => [
      ...[...tags.title, line, number, colon, id, ...tags.titleEnd, line],
    ];
    const log = lane0(
      ...[...tags.plan, line, ...tags.goal, line],
      ...[...title(one, 100), ...title(two, 101), ...title(three, 100), ...title(four, 103)],
      ...[...tags.fork, line],
    );
    const answer = await scripted(log, { maxTokens: 120 });
    const [stage] = stagesOf(answer);
    expect(stage?.lanes.map(({ title }) => title)).toEqual([[100], [101], [103]]);
    expect(idsOf(answer.lanes[3]).slice(0, opening(1).length)).toEqual(opening(four));
    const [trunk = []] = answer.lanes;
    const fork = trunk.slice(0, log[0]?.tokens.length).slice(-tags.fork.length - 1);
    expect(fork.every((token) => token.forced)).toBe(true);
  });

  it.each([
    [
      "of one title",
      [...plan.slice(0, plan.indexOf(102) - tags.title.length - 3), ...tags.fork, line],
    ],
    [
      "with a title that is too long",
      [...plan.slice(0, plan.indexOf(100)), 100, 101, 102, 103, 104, 105].slice(
        0,
        plan.indexOf(100) + 3 + tags.titleEnd.length,
      ),
    ],
  ])(
    "a plan %s is dropped, and the answer continues as if it had never existed",
    async (_, bad) => {
      const sampling = { frequencyPenalty: 50 };
      const answer = await scripted(lane0(110, 111, ...bad), {
        maxTokens: 80,
        sampling,
        ignoreEos: true,
      });
      expect(answer.usage).toMatchObject({ stages: 0, branches: 0, completionTokens: 80 });
      const rest = idsOf(answer.lanes[0]).slice(2 + bad.length);
      const serial = await scripted(lane0(110, 111), {
        ...{ parallel: false, sampling, maxTokens: 80 - bad.length, ignoreEos: true },
      });
      expect(rest).toEqual(idsOf(serial.lanes[0]).slice(2));
      expect(seen(answer).flat(2)).toEqual([110, 111, ...rest]);
    },
  );

  it("an end token inside a branch writes the branch's whole close", async () => {
    const answer = await scripted(begun, { sampling: { logitBias: [[eos, 900]] } });
    for (const lane of answer.lanes.slice(1)) {
      expect(idsOf(lane).slice(-ending.length)).toEqual(ending);
      expect(lane.every((token) => token.forced)).toBe(true);
    }
    const reasons = answer.events.flatMap((e) => (e.kind === "branchClosed" ? [e.reason] : []));
    expect(reasons).toEqual([close.eos, close.eos]);
    expect(answer.reason).toBe(finish.stop); // in the tail
    expect(idsOf(answer.lanes[0]).slice(-tags.join.length - 2)).toEqual([...tags.join, line, eos]);
  });

  it("the cap leaves a branch room for its whole close", async () => {
    const never = [tags.branchEnd.at(-1) ?? 0, eos].map((id) => [id, -1000] as const);
    const answer = await scripted(begun, { sampling: { logitBias: never } });
    for (const lane of answer.lanes.slice(1)) {
      expect(lane).toHaveLength(caps.branch_tokens);
      expect(idsOf(lane).slice(-ending.length)).toEqual(ending);
    }
  });

  it("the budget is exact to the token for every size", async () => {
    const sampling = { temperature: 1, logitBias: [[eos, 3]] as const };
    const least = begun.reduce((sum, { tokens }) => sum + tokens.length, 0);
    for (let maxTokens = least + 40; maxTokens < least + 90; maxTokens++) {
      const answer = await scripted(begun, { maxTokens, sampling, seed: maxTokens });
      expect(answer.usage.completionTokens).toBeLessThanOrEqual(maxTokens);
      expect(answer.usage.completionTokens).toBe(answer.lanes.flat().length);
      expect(answer.usage.visibleTokens).toBe(seen(answer).flat(2).length);
    }
    serving.expectAllFree();
  });

  it("no tag can be written where it is not allowed, in any number of tokens", async () => {
    const wrong: [string, LoggedLane[]][] = [
      ["a title outside a plan", lane0(110, ...tags.title)],
      ["a plan inside a title", lane0(...plan.slice(0, plan.indexOf(101)), ...tags.plan)],
      ["an empty title", lane0(...plan.slice(0, plan.indexOf(100)), ...tags.titleEnd)],
      [
        "a plan inside a branch",
        [
          { lane: 0, tokens: [...plan] },
          { lane: 1, tokens: [...opening(one), ...tags.plan] },
          { lane: 2, tokens: [...opening(two), ...tags.plan] },
        ],
      ],
      [
        "a plan directly after a join",
        [
          {
            lane: 0,
            tokens: [
              ...(script[0]?.tokens.slice(0, -8 - 2 * tags.tailEnd.length) ?? []),
              ...tags.fork,
            ],
          },
          ...script.slice(1),
        ],
      ],
    ];
    for (const [what, log] of wrong) {
      expect(
        refusal(() => serving.ask({ prompt, parallel: true, maxTokens: 200, log })),
        what,
      ).toBe("invalid_argument");
    }
    const serial = lane0(110, ...tags.plan);
    expect(refusal(() => serving.ask({ prompt, maxTokens: 200, log: serial }))).toBe(
      "invalid_argument",
    );
  });

  it("the client never sees a tag, whatever the model prefers, and every answer can be resumed", async () => {
    const wanted = [...new Set(Object.values(tags).flat())];
    const every = Object.values(tags) as number[][];
    const elsewhere = new Serving({ model: modelOf(tags), kvMib: 1 });
    let stages = 0;
    let held = 0;
    for (let seed = 0; seed < 24; seed++) {
      const steps: EngineEvent[][] = [];
      const request: Ask = {
        ...{ prompt, parallel: true, maxTokens: 150, seed },
        log: seed % 2 ? begun : [],
        sampling: {
          temperature: 1,
          logitBias: [...wanted.map((id) => [id, tags === single ? 4 : 7] as const), [eos, 2]],
        },
      };
      const { answer: ended } = serving.ask(request, (events) => steps.push(events));
      const answer = await ended;
      stages += answer.usage.stages;
      held += answer.events.filter(({ kind }) => kind === "released").length;
      const shown = seen(answer);
      expect(answer.usage.visibleTokens).toBe(shown.flat(2).length);
      for (const run of shown.flat()) {
        for (let end = 1; end <= run.length; end++) {
          expect(every.filter((tag) => endsWith(run.slice(0, end), tag))).toEqual([]);
        }
      }
      const events = steps.slice(0, Math.floor((steps.length * (seed + 1)) / 25)).flat();
      const again = await elsewhere.answer({ ...request, log: logOf(events) });
      expect({ ...again, batches: 0 }).toEqual({ ...answer, batches: 0 });
    }
    expect(stages).toBeGreaterThan(0);
    expect(held > 0).toBe(tags === spelled);
    elsewhere.expectAllFree();
  });

  it("preemption changes nothing", async () => {
    const requests = Array.from(
      { length: 12 },
      (_, seed): Ask => ({
        ...{
          prompt: [...prompt, seed + 70],
          parallel: true,
          maxTokens: 150,
          seed,
          ignoreEos: true,
        },
        log: begun,
        sampling: { temperature: 1 },
      }),
    );
    const small = new Serving({ model: modelOf(tags), kvMib: 0.15, prefillRows: 8 });
    const answers = await Promise.all(requests.map((request) => small.answer(request)));
    for (const [i, request] of requests.entries()) {
      expect(answers[i]?.lanes).toEqual((await serving.answer(request)).lanes);
    }
    expect(small.engine.load().preemptions).toBeGreaterThan(0);
    small.expectAllFree();
  });
});

describe("text that begins like a tag", () => {
  const [less, slash, more] = [50, 51, 52];
  const serving = new Serving({ model: modelOf(spelled) });
  const answerOf = (maxTokens: number, ...tokens: number[]) =>
    serving.answer({
      ...{ prompt, parallel: true, maxTokens, ignoreEos: true },
      log: [{ lane: 0, tokens }],
      sampling: {
        logitBias: [
          [more, -1000],
          [less, -1000],
          [slash, -1000],
        ],
      },
    });

  it("is held back only while it may become a tag", async () => {
    const { events } = await answerOf(9, 110, less, less, 60, 111, less, 60);
    const seen = events.flatMap((event) => {
      if (event.kind === "token") return [event.token.visible ? "shown" : "held"];
      return event.kind === "released" ? [`+${event.tokens.length}`] : [];
    });
    const expected = [
      "shown",
      "held",
      "+1",
      "held",
      "held",
      "+2",
      "shown",
      "held",
      "held",
      "+2",
      "shown",
      "shown",
    ];
    expect(seen).toEqual(expected);
  });

  it("is not released before the answer has started", async () => {
    const busy = new Serving({ model: modelOf(spelled), maxRunning: 1 });
    const running = busy.ask({ prompt, maxTokens: 400, ignoreEos: true });
    const log = [{ lane: 0, tokens: [110, less, 60] }];
    const waiting = busy.ask({ prompt, parallel: true, maxTokens: 9, log });
    busy.engine.cancel(waiting.id);
    const { events, reason } = await waiting.answer;
    expect(reason).toBe(finish.cancelled);
    expect(events.map(({ kind }) => kind)).toEqual(["finished"]);
    busy.engine.cancel(running.id);
    await running.answer;
    busy.expectAllFree();
  });

  it("is visible in full if the answer ends with it", async () => {
    for (const tokens of [
      [110, less],
      [110, less, 60],
    ]) {
      const answer = await answerOf(tokens.length, ...tokens);
      expect(answer.reason).toBe(finish.length);
      expect(seen(answer)).toEqual([[tokens]]);
      expect(answer.usage.visibleTokens).toBe(tokens.length);
    }
  });
});

describe("a dialect whose stages may have one branch", () => {
  it("opens one", async () => {
    const model = modelOf(single, { caps: { ...caps, min_branches: 1 } });
    const serving = new Serving({ model });
    const [open] = single.plan;
    const answer = await serving.answer({
      ...{ prompt, parallel: true, maxTokens: 60 },
      sampling: {
        logitBias: [
          [open ?? 0, 900],
          [single.titleEnd[0] ?? 0, 800],
          [single.title[0] ?? 0, -900],
        ],
      },
    });
    expect(stagesOf(answer)[0]?.lanes).toHaveLength(1);
    serving.expectAllFree();
  });
});
