// Which lanes decode in a step: whichever do, answers are the same to the bit.
import { describe, expect, it } from "vitest";
import type { EngineEvent, EngineOptions, EngineRequest } from "../src/index.ts";
import {
  branching,
  byLane,
  eager,
  eos,
  finish,
  logOf,
  markers,
  prompt,
  refusal,
  Serving,
  tiny,
} from "./answers.ts";

type Ask = Omit<EngineRequest, "id">;

/** Steps may meet one with their first lanes and not with all. Until the times of steps are known, any limit holds lanes back. */
const someLimits = [0.03, 0.1, 0.3, 1, 3];

const schedules: readonly Partial<EngineOptions>[] = [
  { branchSchedule: "off" },
  { branchSchedule: "cap:2" },
  { branchSchedule: "slack" },
  // No step is that short: no lane waits for it.
  { branchSchedule: "slack", maxTimePerTokenMs: 0.001 },
  ...someLimits.map((maxTimePerTokenMs) => ({ branchSchedule: "slack", maxTimePerTokenMs })),
];

/** The events of each lane in order, and what is said of the whole answer. */
function told(events: readonly EngineEvent[]) {
  const lanes = new Map<number, EngineEvent[]>();
  const whole: EngineEvent[] = [];
  for (const event of events) {
    if (event.kind === "finished") {
      whole.push({ ...event, usage: { ...event.usage, cachedTokens: 0 } });
    } else if (event.kind === "started") {
      whole.push({ ...event, cachedTokens: 0 });
    } else if ("lane" in event) {
      lanes.set(event.lane, [...(lanes.get(event.lane) ?? []), event]);
    } else {
      whole.push(event);
    }
  }
  return { lanes: [...lanes].sort(([a], [b]) => a - b), whole };
}

function random(seed: number): () => number {
  let state = seed * 2654435761 + 1;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) >>> 0;
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
  };
}

/** Dialects whose branches end with one token, or with several. */
const models = [
  branching(),
  branching({
    branch_close: { ids: [markers.branchClose, 16, 17] },
    caps: { branches: 4, title_tokens: 3, branch_tokens: 20, stages: 3 },
    resume: "max",
  }),
] as const;

/** Requests whose stages, branches and budgets differ. */
function asks(seed: number, count: number): Ask[] {
  const roll = random(seed);
  return Array.from({ length: count }, (_, i) => ({
    prompt: Array.from({ length: 1 + Math.floor(roll() * 40) }, () => 30 + Math.floor(roll() * 90)),
    parallel: true,
    maxTokens: 8 + Math.floor(roll() * 90),
    seed: i,
    ignoreEos: roll() < 0.3,
    ...(roll() < 0.5 && { cacheSalt: new TextEncoder().encode("a") }),
    sampling: {
      temperature: 1,
      logprobs: true,
      frequencyPenalty: roll() < 0.5 ? 0.4 : 0,
      logitBias: [...eager, [markers.branchClose, 2 + 4 * roll()], [eos, 3 * roll()]],
    },
  }));
}

async function answersOf(options: Partial<EngineOptions>, requests: readonly Ask[]) {
  const serving = new Serving(options);
  const answers = await Promise.all(requests.map((request) => serving.answer(request)));
  serving.expectAllFree();
  return { answers, load: serving.engine.load() };
}

describe("the branch schedule", () => {
  it("changes no token, log-probability, event of a lane, or usage", async () => {
    const ends = new Set<string>();
    let heldBySlack = 0;
    for (const [index, model] of models.entries()) {
      const requests = asks(index + 1, 40);
      const expected = await answersOf({ model }, requests);
      for (const { reason, events } of expected.answers) {
        // A trunk that goes on after a stage writes at least the join.
        const last = events.findLast(({ kind }) => kind === "stageClosed" || kind === "token");
        ends.add(`${reason} ${last?.kind === "stageClosed" ? "inside" : "outside"}`);
      }
      for (const schedule of schedules) {
        // With KV for few of them, so that requests are preempted.
        for (const kvMib of [32, 0.125]) {
          const { answers, load } = await answersOf(
            { model, kvMib, prefillRows: 7, ...schedule },
            requests,
          );
          for (const [i, answer] of answers.entries()) {
            const what = `${JSON.stringify(schedule)}, ${kvMib} MiB, request ${i}`;
            expect(told(answer.events), what).toEqual(told(expected.answers[i]?.events ?? []));
          }
          if (kvMib < 1) expect(load.preemptions).toBeGreaterThan(0);
          if (schedule.branchSchedule !== "slack") expect(load.heldLanes).toBeGreaterThan(0);
          else if (schedule.maxTimePerTokenMs !== undefined) heldBySlack += load.heldLanes;
        }
      }
    }
    expect(heldBySlack).toBeGreaterThan(0);
    // The budget ended some answers in the middle of a stage.
    expect([...ends]).toContain(`${finish.length} inside`);
    expect([...ends]).toContain(`${finish.length} outside`);
  });

  it("a cancelled answer is the beginning of the whole one, and leaves no block", async () => {
    const [model] = models;
    const requests = asks(7, 30);
    const whole = await answersOf({ model }, requests);
    for (const schedule of schedules) {
      const serving = new Serving({ model, kvMib: 0.125, ...schedule });
      let cancelled = 0;
      const answers = await Promise.all(
        requests.map((request, i) => {
          let left = 2 + i;
          return serving.ask(request, (_, id) => {
            if (--left === 0) serving.engine.cancel(id);
          }).answer;
        }),
      );
      for (const [i, answer] of answers.entries()) {
        cancelled += Number(answer.reason === finish.cancelled);
        for (const [lane, tokens] of answer.lanes.entries()) {
          const all = whole.answers[i]?.lanes[lane] ?? [];
          expect(tokens, `request ${i}`).toEqual(all.slice(0, tokens.length));
        }
      }
      expect(cancelled).toBeGreaterThan(0);
      serving.expectAllFree();
    }
  });

  it("an answer whose lanes got differently far continues under any other schedule", async () => {
    for (const [index, model] of models.entries()) {
      let uneven = 0;
      for (const request of asks(index + 20, 6)) {
        const steps: EngineEvent[][] = [];
        const off = new Serving({ model, branchSchedule: "off" });
        const { events } = await off.ask(request, (batch) => steps.push(batch)).answer;
        const others = ["eager", "off", "cap:2", "slack"].map(
          (branchSchedule) => new Serving({ model, branchSchedule, kvMib: 0.5 }),
        );
        const resumed = steps.slice(0, -1).map(async (_, at) => {
          const before = steps.slice(0, at + 1).flat();
          if (!before.some(({ kind }) => kind === "token")) return;
          const lengths = byLane(before)
            .slice(1)
            .map(({ length }) => length);
          uneven += Number(Math.max(...lengths) > Math.min(...lengths) + 3);
          const serving = others[at % others.length] as Serving;
          const again = await serving.answer({ ...request, log: logOf(before) });
          expect(withoutLogprobs(again), `after step ${at}`).toEqual(withoutLogprobs({ events }));
        });
        await Promise.all(resumed);
        for (const serving of others) serving.expectAllFree();
      }
      expect(uneven).toBeGreaterThan(5);
    }
  });

  it("the first open branch goes first, where one at a time decodes", async () => {
    const serving = new Serving({ branchSchedule: "off" });
    const request = { prompt: prompt("compare-cities"), parallel: true, maxTokens: 640 };
    const { events, usage } = await serving.answer(request);
    expect(usage.branches).toBeGreaterThan(1);
    let open: number[] = [];
    for (const event of events) {
      if (event.kind === "stageOpened") open = event.lanes.map(({ lane }) => lane);
      if (event.kind === "branchClosed") open = open.filter((lane) => lane !== event.lane);
      const sampled = event.kind === "token" && event.lane > 0 && !event.token.forced;
      if (sampled && open.includes(event.lane)) expect(event.lane).toBe(open[0]);
    }
    // More passes than the answer counts: one for each token.
    const eagerly = new Serving();
    const same = await eagerly.answer(request);
    expect(usage).toEqual(same.usage);
    expect(serving.engine.load().steps).toBeGreaterThan(eagerly.engine.load().steps);
    expect(serving.engine.load().decodeRows).toBe(eagerly.engine.load().decodeRows);
  });

  it("treats the requests of a group as one answer", async () => {
    const serving = new Serving({ model: tiny, branchSchedule: "off" });
    const order: number[] = [];
    const asked = serving.askGroup(
      [1, 2, 3].map((seed) => ({
        ...{ prompt: [40, 41, 42], maxTokens: 20, seed, ignoreEos: true },
        sampling: { temperature: 1 },
      })),
      (events, id) => {
        for (const { kind } of events) if (kind === "token") order.push(id);
      },
    );
    await Promise.all(asked.map(({ answer }) => answer));
    // The first token of each comes from its prefill.
    const [first, second, third] = asked.map(({ id }) => id);
    const rest = order.slice(3);
    expect(rest).toEqual([first, second, third].flatMap((id) => Array(19).fill(id)));
  });

  it("without a limit on the time, slack holds nothing back", async () => {
    const { load } = await answersOf({ model: models[0], branchSchedule: "slack" }, asks(3, 10));
    expect(load.heldLanes).toBe(0);
    expect(load.predictedSeconds).toBeGreaterThan(0);
  });

  it("a request's own limit holds lanes back too", async () => {
    let held = 0;
    for (const maxTimePerTokenMs of someLimits) {
      const requests = asks(3, 40).map((request) => ({ ...request, maxTimePerTokenMs }));
      const { load } = await answersOf({ model: models[0], branchSchedule: "slack" }, requests);
      held += load.heldLanes;
    }
    expect(held).toBeGreaterThan(0);
  });

  it("a limit that no step meets holds nothing back, once the times of steps are known", async () => {
    const serving = new Serving({ branchSchedule: "slack", maxTimePerTokenMs: 0.001 });
    for (const request of asks(3, 4)) await serving.answer(request);
    const before = serving.engine.load().heldLanes;
    await Promise.all(asks(4, 40).map((request) => serving.answer(request)));
    expect(serving.engine.load().heldLanes).toBe(before);
  });

  it("refuses a schedule that it does not know, by name", () => {
    for (const branchSchedule of ["lazy", "cap:", "cap:0", "cap:2x", "cap:9999"]) {
      expect(refusal(() => new Serving({ branchSchedule }))).toBe("invalid_argument");
    }
  });
});

/** Replay gives no log-probabilities. */
function withoutLogprobs({ events }: { events: readonly EngineEvent[] }) {
  return told(
    events.map((event) => {
      if (event.kind === "token") {
        const { logprob: _, top: __, ...token } = event.token;
        return { ...event, token };
      }
      if (event.kind !== "released") return event;
      return { ...event, tokens: event.tokens.map(({ id }) => ({ id })) } as EngineEvent;
    }),
  );
}
