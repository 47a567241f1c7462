// The life of a request: every block is freed however it ends, and bad arguments are refused without
// further harm.
import { describe, expect, it } from "vitest";
import {
  codePaths,
  type EngineEvent,
  type EngineRequest,
  type StructureRun,
} from "../src/index.ts";
import {
  aspd,
  branching,
  eager,
  finish,
  folderLike,
  idsOf,
  markers,
  prompt,
  prompts,
  refusal,
  Serving,
  tiny,
} from "./answers.ts";

/** mulberry32, so that every run makes the same decisions. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// Slow steps, so that requests are still running when the engine gets the cancel.
const slow = { codePath: codePaths().at(-1) ?? "plain", dtype: "fp32" } as const;
const compare = prompt("compare-cities");

describe("cancelling", () => {
  /** Cancels inside the callback for `when`. The engine may finish its current step. */
  async function cancelWhen(
    serving: Serving,
    request: Omit<EngineRequest, "id">,
    when: (event: EngineEvent) => boolean,
  ) {
    let stepsThen = Number.POSITIVE_INFINITY;
    const asked = serving.ask(request, (events, id) => {
      if (stepsThen !== Number.POSITIVE_INFINITY || !events.some(when)) return;
      serving.engine.cancel(id);
      stepsThen = serving.engine.load().steps;
    });
    const answer = await asked.answer;
    expect(answer.reason).toBe(finish.cancelled);
    // At most one more step: the one that was running.
    expect(serving.engine.load().steps).toBeLessThanOrEqual(stepsThen + 1);
    serving.expectAllFree();
    return answer;
  }

  it("in prefill", async () => {
    const serving = new Serving({ ...slow, prefillRows: 1 });
    const answer = await cancelWhen(
      serving,
      { prompt: new Array(900).fill(300), maxTokens: 100 },
      (event) => event.kind === "started",
    );
    expect(answer.usage).toMatchObject({ completionTokens: 0, steps: 0 });
  });

  it("while decoding serially", async () => {
    const answer = await cancelWhen(
      new Serving(slow),
      { prompt: compare, maxTokens: 900, ignoreEos: true },
      (event) => event.kind === "token",
    );
    expect(answer.usage.completionTokens).toBeLessThan(900);
  });

  it("in a plan", async () => {
    // One title that never closes.
    const model = branching({ caps: { ...aspd.caps, title_tokens: 200, branch_tokens: 300 } });
    const crowd = new Serving({ ...slow, model });
    const answer = await cancelWhen(
      crowd,
      {
        prompt: [4, 5, 6],
        maxTokens: 400,
        parallel: true,
        sampling: { logitBias: [[markers.titleOpen, 900]] },
      },
      (event) => event.kind === "token",
    );
    expect(answer.lanes[0]?.some((token) => token.visible)).toBe(false);
  });

  it("in the middle of branches", async () => {
    const answer = await cancelWhen(
      new Serving(slow),
      { prompt: compare, parallel: true, maxTokens: 400 },
      (event) => event.kind === "token" && event.lane === 2 && !event.token.forced,
    );
    expect(answer.events.some((event) => event.kind === "stageOpened")).toBe(true);
    expect(answer.events.some((event) => event.kind === "stageClosed")).toBe(false);
  });

  it("at the join", async () => {
    const answer = await cancelWhen(
      new Serving(slow),
      { prompt: compare, parallel: true, maxTokens: 900, ignoreEos: true },
      (event) => event.kind === "stageClosed",
    );
    expect(answer.usage.stages).toBeGreaterThanOrEqual(1);
  });

  it("in the queue, before it starts", async () => {
    const serving = new Serving({ ...slow, maxRunning: 1 });
    const first = serving.ask({ prompt: compare, maxTokens: 900, ignoreEos: true });
    await first.seen("token");
    const second = serving.ask({ prompt: compare, maxTokens: 10 });
    serving.engine.cancel(second.id);
    const answer = await second.answer;
    expect(answer.reason).toBe(finish.cancelled);
    expect(answer.events.map((event) => event.kind)).toEqual(["finished"]);
    serving.engine.cancel(first.id);
    expect((await first.answer).reason).toBe(finish.cancelled);
    serving.expectAllFree();
  });

  it("an unknown or finished request changes nothing", async () => {
    const serving = new Serving({ model: tiny });
    const asked = serving.ask({ prompt: [4], maxTokens: 3 });
    serving.engine.cancel(4_000_000_000);
    expect((await asked.answer).reason).toBe(finish.length);
    serving.engine.cancel(asked.id);
    expect((await serving.answer({ prompt: [4], maxTokens: 3 })).reason).toBe(finish.length);
  });
});

describe("deadlines and closing", () => {
  it("a deadline ends running and waiting requests", async () => {
    const serving = new Serving({ ...slow, maxRunning: 1 });
    const running = serving.ask({
      prompt: compare,
      maxTokens: 900,
      ignoreEos: true,
      deadlineMs: 30,
    });
    const waiting = serving.ask({
      prompt: compare,
      maxTokens: 900,
      ignoreEos: true,
      deadlineMs: 1,
    });
    expect((await running.answer).reason).toBe(finish.deadline);
    expect((await waiting.answer).reason).toBe(finish.deadline);
    serving.expectAllFree();
  });

  it("closing cancels and reports everything, and may be repeated", async () => {
    const serving = new Serving({ ...slow, maxRunning: 2 });
    const asked = prompts.map((ids) =>
      serving.ask({ prompt: ids, parallel: true, maxTokens: 400, ignoreEos: true }),
    );
    await asked[0]?.seen("token");
    const scoring = expect(
      serving.engine.score([{ serial: compare }], "sum"),
    ).rejects.toMatchObject({ code: "unavailable" });
    serving.engine.close();
    serving.engine.close();
    for (const { answer } of asked) expect((await answer).reason).toBe(finish.cancelled);
    await scoring;
    serving.expectAllFree();
    expect(refusal(() => serving.ask({ prompt: [1], maxTokens: 1 }))).toBe("unavailable");
    expect(refusal(() => serving.engine.score([{ serial: [1] }], "sum"))).toBe("unavailable");
    expect(serving.engine.info().vocabulary).toBe(2048);
    serving.engine.cancel(1);
  });

  it("closing inside a callback is safe", async () => {
    const serving = new Serving({ model: tiny });
    const asked = serving.ask({ prompt: [4], maxTokens: 400, ignoreEos: true }, (events) => {
      if (events.some((event) => event.kind === "token")) serving.engine.close();
    });
    expect((await asked.answer).reason).toBe(finish.cancelled);
  });
});

it("with a flush interval tokens are collected, ends are reported at once, and nothing is lost", async () => {
  const request = { prompt: compare, parallel: true, maxTokens: 200 };
  const every = await new Serving().answer(request);
  const gathered = await new Serving({ flushIntervalMs: 1000 }).answer(request);
  expect(gathered.events).toEqual(every.events);
  expect(every.batches).toBeGreaterThan(20);
  expect(gathered.batches).toBeLessThan(every.batches);
});

describe("many at once", () => {
  it("240 mixed requests with random cancels leave no KV behind", async () => {
    const serving = new Serving({
      model: branching({ caps: { branches: 6, title_tokens: 4, branch_tokens: 30, stages: 4 } }),
      maxRunning: 48,
      prefillRows: 33,
      kvMib: 1,
      threads: 2,
    });
    const roll = random(5);
    const outcomes = { cancelled: 0, finished: 0, branched: 0 };
    await Promise.all(
      Array.from({ length: 240 }, async (_, i) => {
        let patience = roll() < 0.4 ? Math.floor(roll() * 30) : Number.POSITIVE_INFINITY;
        const asked = serving.ask(
          {
            prompt: Array.from({ length: 1 + Math.floor(roll() * 120) }, () =>
              Math.floor(roll() * 192),
            ),
            maxTokens: 1 + Math.floor(roll() * 150),
            parallel: roll() < 0.7,
            sequential: roll() < 0.2,
            seed: i,
            sampling: {
              temperature: roll() < 0.5 ? 0 : 1,
              frequencyPenalty: 1,
              logprobs: roll() < 0.3,
              logitBias: roll() < 0.6 ? [...eager, [markers.branchClose, 1]] : [],
            },
          },
          (_events, id) => {
            if (patience-- === 0) serving.engine.cancel(id);
          },
        );
        if (patience < 0) serving.engine.cancel(asked.id);
        const answer = await asked.answer;
        const tokens = answer.lanes.flat();
        expect(answer.usage.completionTokens).toBe(tokens.length);
        outcomes[answer.reason === finish.cancelled ? "cancelled" : "finished"]++;
        if (answer.usage.branches > 0) outcomes.branched++;
      }),
    );
    expect(outcomes.cancelled).toBeGreaterThan(10);
    expect(outcomes.finished).toBeGreaterThan(100);
    expect(outcomes.branched).toBeGreaterThan(40);
    serving.expectAllFree();
  });

  it("a full queue refuses more, and serves what it has", async () => {
    const serving = new Serving({ ...slow, maxRunning: 1, maxQueue: 3 });
    const first = serving.ask({ prompt: compare, maxTokens: 900, ignoreEos: true });
    await first.seen("token");
    const waiting = [1, 2, 3].map(() =>
      serving.ask({ prompt: [4], maxTokens: 2, ignoreEos: true }),
    );
    for (let i = 0; i < 5; i++) {
      expect(refusal(() => serving.ask({ prompt: [4], maxTokens: 2 }))).toBe("resource_exhausted");
      serving.engine.cancel(3_000_000_000); // a cancel takes no place in the queue
    }
    serving.engine.cancel(first.id);
    for (const { answer } of waiting) expect((await answer).reason).toBe(finish.length);
    expect((await serving.answer({ prompt: [4], maxTokens: 2 })).usage.completionTokens).toBe(2);
    serving.expectAllFree();
  });

  it("a request waits for KV that others hold, and is refused only if it can never fit", async () => {
    // 256 blocks of 16 tokens.
    const serving = new Serving({ model: tiny, kvMib: 1, dtype: "bf16" });
    const { kvTotal } = serving.engine.load();
    const each = Math.floor((kvTotal * 16) / 480);
    const answers = await Promise.all(
      Array.from({ length: each * 3 }, (_, i) =>
        serving.answer({ prompt: new Array(400).fill(i + 3), maxTokens: 20, ignoreEos: true }),
      ),
    );
    expect(answers.map((answer) => answer.usage.completionTokens)).toEqual(answers.map(() => 20));
    serving.expectAllFree();
    const small = new Serving({
      model: folderLike(tiny, {
        "config.json": JSON.stringify({
          ...JSON.parse(await text(`${tiny}/config.json`)),
          max_position_embeddings: 100_000,
        }),
      }),
      kvMib: 1,
    });
    const more = { prompt: [4], maxTokens: kvTotal * 16 };
    expect(refusal(() => small.ask(more))).toBe("out_of_range");
  });
});

async function text(file: string): Promise<string> {
  const { readFile } = await import("node:fs/promises");
  return readFile(file, "utf8");
}

describe("bad arguments", () => {
  const serving = new Serving({ model: branching() });
  const good = { id: 1, prompt: [4, 5], maxTokens: 3 };
  const sampling = (value: unknown) => ({ sampling: value });
  const invalid: [string, Record<string, unknown>][] = [
    ["id missing", { id: undefined }],
    ["id negative", { id: -1 }],
    ["id of a fraction", { id: 1.5 }],
    ["id too large", { id: 2 ** 32 }],
    ["prompt missing", { prompt: undefined }],
    ["prompt empty", { prompt: [] }],
    ["prompt of text", { prompt: "hello" }],
    ["prompt of an unknown id", { prompt: [192] }],
    ["prompt of a negative id", { prompt: [-1] }],
    ["prompt of NaN", { prompt: [Number.NaN] }],
    ["prompt of a fraction", { prompt: [1.5] }],
    ["prompt of another array type", { prompt: new Float64Array([1]) }],
    ["prompt with a huge word", { prompt: new Uint32Array([0xffffffff]) }],
    ["prompt of holes", { prompt: new Array(3) }],
    ["maxTokens zero", { maxTokens: 0 }],
    ["maxTokens negative", { maxTokens: -5 }],
    ["maxTokens NaN", { maxTokens: Number.NaN }],
    ["maxTokens text", { maxTokens: "5" }],
    ["maxBranches negative", { maxBranches: -1 }],
    ["maxBranches infinite", { maxBranches: Number.POSITIVE_INFINITY }],
    ["seed negative", { seed: -1n }],
    ["seed too large", { seed: 2n ** 64n }],
    ["seed of a fraction", { seed: 0.5 }],
    ["choice of a fraction", { choice: 0.5 }],
    ["parallel as a number", { parallel: 1 }],
    ["stopTokens of text", { stopTokens: ["a"] }],
    ["stopTokens unknown", { stopTokens: [5000] }],
    ["deadline negative", { deadlineMs: -1 }],
    ["sampling of text", sampling("hot")],
    ["temperature NaN", sampling({ temperature: Number.NaN })],
    ["temperature negative", sampling({ temperature: -1 })],
    ["topP above 1", sampling({ topP: 1.5 })],
    ["topK of a fraction", sampling({ topK: 1.5 })],
    ["minP infinite", sampling({ minP: Number.POSITIVE_INFINITY })],
    ["topLogprobs too many", sampling({ topLogprobs: 65 })],
    ["logitBias of no pairs", sampling({ logitBias: [1] })],
    ["logitBias of short pairs", sampling({ logitBias: [[1]] })],
    ["logitBias NaN", sampling({ logitBias: [[1, Number.NaN]] })],
    ["logitBias of an invalid id", sampling({ logitBias: [[1e12, 1]] })],
    ["logitBias of an unknown id", sampling({ logitBias: [[192, 1]] })],
    ["logitBias as an object", sampling({ logitBias: {} })],
    ["resume unknown", { resume: "last" }],
    ["script of text", { script: "[]" }],
    ["script of empty runs", { script: [{}] }],
    ["script that begins in parallel", { script: [{ parallel: [[4, 5]] }] }],
    ["script that is shorter than the prompt", { script: [{ serial: [4] }] }],
    ["script of an unknown id", { script: [{ serial: [4, 999] }] }],
    [
      "script with a hole for a branch",
      { script: [{ serial: [4, 5] }, { parallel: new Array(2) }] },
    ],
    [
      "script with endless branches",
      { script: [{ serial: [4, 5] }, { parallel: new Array(4294967295) }] },
    ],
  ];
  it.each(invalid)("%s", (_, change) => {
    const request = { ...good, ...change } as unknown as EngineRequest;
    expect(refusal(() => serving.engine.submit(request))).toBe("invalid_argument");
  });

  it("no request at all", () => {
    const submit = serving.engine.submit.bind(serving.engine) as (value?: unknown) => void;
    for (const value of [undefined, null, 1, "x"]) {
      expect(refusal(() => submit(value))).toBe("invalid_argument");
    }
    const cancel = serving.engine.cancel.bind(serving.engine) as (value?: unknown) => void;
    for (const value of [undefined, "1", Number.NaN, -1, 0.5, 2 ** 32]) {
      expect(refusal(() => cancel(value))).toBe("invalid_argument");
    }
  });

  it("an id that is in use", async () => {
    const first = serving.ask({ id: 77, prompt: [4], maxTokens: 300, ignoreEos: true });
    expect(refusal(() => serving.engine.submit({ ...good, id: 77 }))).toBe("invalid_argument");
    serving.engine.cancel(77);
    await first.answer;
    const again = serving.ask({ id: 77, prompt: [4], maxTokens: 2, ignoreEos: true });
    expect((await again.answer).usage.completionTokens).toBe(2);
  });

  it("a prompt longer than the context is out of range", () => {
    for (const length of [512, 513, 100_000]) {
      expect(
        refusal(() => serving.engine.submit({ ...good, prompt: new Array(length).fill(4) })),
      ).toBe("out_of_range");
    }
    const script: StructureRun[] = [{ serial: [4, 5] }, { parallel: [new Array(600).fill(4)] }];
    expect(refusal(() => serving.engine.submit({ ...good, script }))).toBe("out_of_range");
  });

  it("4096 branches are served, one more is refused", async () => {
    const wide = new Serving({ model: tiny, validate: false });
    const branches = (n: number): StructureRun[] => [
      { serial: [4, 5] },
      { parallel: Array.from({ length: n }, (_, i) => (i % 32 === 0 ? [7, 8] : [])) },
      { serial: [9] },
    ];
    const answer = await wide.answer({ prompt: [4], script: branches(4096) });
    expect(answer.usage.branches).toBe(4096);
    expect(idsOf(answer.lanes[0])).toEqual([5, 9]);
    wide.expectAllFree();
    expect(refusal(() => wide.ask({ prompt: [4], script: branches(4097) }))).toBe(
      "invalid_argument",
    );
  });

  it("scoring refuses invalid structures, and tokens that do not fit", async () => {
    const score = serving.engine.score.bind(serving.engine) as (
      ...args: unknown[]
    ) => Promise<unknown>;
    for (const args of [
      [],
      [[]],
      [{}, "sum"],
      [[1], "sum"],
      [[{ serial: 4 }], "sum"],
      [[{ serial: undefined }], "sum"],
      [[{ serial: [4] }], "last"],
      [[{ serial: [4] }], 7],
      [[{ parallel: [[4], null] }], "sum"],
    ]) {
      expect(
        refusal(() => score(...args)),
        JSON.stringify(args),
      ).toBe("invalid_argument");
    }
    expect(refusal(() => score([{ serial: [192] }], "sum"))).toBe("invalid_argument");
    expect(refusal(() => score([{ serial: new Array(513).fill(4) }], "sum"))).toBe("out_of_range");
    expect(await score([], "sum")).toEqual({ runs: [] });
  });

  it("any mixture of unusual values is refused with a code, or served", async () => {
    const roll = random(11);
    // biome-ignore format: a list
    const unusual = [
      undefined, null, true, false, 0, -0, 1, -1, 0.5, 7, 64, 1e9, 2 ** 31, 2 ** 32, 2 ** 53, 1e308,
      Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, "", "sum", "max", "5", 5n, -5n,
      2n ** 70n, [], [4], [4, 5, 6], [-1], [191], [192], ["4"], [[4, 1]], [[4, 1000]], [[4]], {}, [{}],
      new Uint32Array([4, 5]), new Uint8Array(3), () => 1, Symbol("x"), new Date(0),
      [{ serial: [4, 5] }], [{ serial: [] }], [{ parallel: [[4]] }],
      [{ serial: [4, 5] }, { parallel: [[], [4]] }, { serial: [] }, { serial: [6] }],
    ];
    // biome-ignore format: a list
    const fields = [
      "id", "prompt", "sampling", "parallel", "maxBranches", "maxTokens", "seed", "choice",
      "stopTokens", "ignoreEos", "deadlineMs", "sequential", "returnLogits", "script", "resume",
      "maxTimePerTokenMs",
    ];
    // biome-ignore format: a list
    const knobs = [
      "temperature", "topP", "topK", "minP", "presencePenalty", "frequencyPenalty",
      "repetitionPenalty", "logitBias", "logprobs", "topLogprobs",
    ];
    const pick = <T>(list: readonly T[]): T => list[Math.floor(roll() * list.length)] as T;
    const answers: Promise<unknown>[] = [];
    let refused = 0;
    for (let i = 0; i < 4000; i++) {
      const request: Record<string, unknown> = { prompt: [4, 5], maxTokens: 4, sampling: {} };
      for (let n = Math.floor(roll() * 3); n > 0; n--) request[pick(fields)] = pick(unusual);
      if (roll() < 0.5)
        request.sampling = { [pick(knobs)]: pick(unusual), [pick(knobs)]: pick(unusual) };
      const id = 1000 + i;
      if (!("id" in request)) request.id = id;
      try {
        answers.push(serving.ask({ ...(request as unknown as EngineRequest) }).answer);
      } catch (error) {
        refused++;
        expect(error).toBeInstanceOf(Error);
        expect(error).toHaveProperty("code", expect.stringMatching(/^[a-z_]+$/));
        expect(error).not.toHaveProperty("code", "internal");
      }
      if (answers.length >= 100) await Promise.all(answers.splice(0));
    }
    await Promise.all(answers);
    expect(refused).toBeGreaterThan(1000);
    expect(refused).toBeLessThan(3900);
    serving.expectAllFree();
  });

  it("invalid options are refused by name", () => {
    const options: [Record<string, unknown>, string][] = [
      [{ dtype: "int3" }, "dtype"],
      [{ codePath: "sse9" }, "sse9"],
      [{ threads: -1 }, "threads"],
      [{ threads: 1.5 }, "threads"],
      [{ kvMib: Number.NaN }, "kvMib"],
      [{ kvMib: "many" }, "kvMib"],
      [{ kvMib: 0.001 }, "KV"],
      [{ maxRows: 1 }, "maxRows"],
      [{ maxQueue: 0 }, "maxQueue"],
      [{ branchSchedule: "lazy" }, "branch schedule"],
      [{ maxTimePerTokenMs: -1 }, "maxTimePerTokenMs"],
      [{ model: "/nowhere" }, "/nowhere"],
      [{ model: 7 }, "model"],
      [{ validate: "yes" }, "validate"],
    ];
    for (const [change, named] of options) {
      expect(() => new Serving({ model: tiny, ...change }), named).toThrow(named);
      expect(refusal(() => new Serving({ model: tiny, ...change }))).toMatch(
        /^(invalid_argument|failed_precondition|resource_exhausted)$/,
      );
    }
  });
});
