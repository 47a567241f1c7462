// KV that is taken away is computed again: after preemption, and from the log of an answer that another
// engine began.
import { describe, expect, it } from "vitest";
import type { EngineEvent, EngineRequest, LoggedLane } from "../src/index.ts";
import {
  type Answer,
  branching,
  byLane,
  eager,
  finish,
  logOf,
  markers,
  prompt,
  prompts,
  refusal,
  Serving,
  written,
} from "./answers.ts";

type Ask = Omit<EngineRequest, "id">;
const salt = new TextEncoder().encode("a");

/** Requests of every kind, for the small model. */
const mixed: Ask[] = prompts.flatMap((ids, i) =>
  [1, 2, 3].map((seed) => ({
    prompt: ids,
    seed,
    parallel: seed !== 2,
    maxTokens: 60 + 70 * seed,
    ignoreEos: seed === 3,
    sampling: {
      temperature: seed === 1 ? 0 : 0.9,
      frequencyPenalty: seed === 3 ? 0.3 : 0,
      logprobs: true,
    },
    ...(i % 2 ? { cacheSalt: salt } : {}),
  })),
);

/** An answer without its cache hits, which depend on other requests. */
const withoutCacheHits = (answer: Answer) => ({
  written: written(answer),
  reason: answer.reason,
  usage: { ...answer.usage, cachedTokens: 0 },
});

describe("preemption", () => {
  it("with far too little KV, every answer equals the answer alone, to the bit", async () => {
    const alone = new Serving();
    const serving = new Serving({ kvMib: 3.6, prefillRows: 16 });
    const requests = [...mixed, ...mixed.map((request) => ({ ...request, ignoreEos: true }))];
    const answers = await Promise.all(requests.map((request) => serving.answer(request)));
    for (const [i, request] of requests.entries()) {
      expect(withoutCacheHits(answers[i] as Answer), `request ${i}`).toEqual(
        withoutCacheHits(await alone.answer(request)),
      );
    }
    const { preemptions } = serving.engine.load();
    expect(preemptions).toBeGreaterThan(0);
    expect(answers.some(({ usage }) => usage.branches > 0)).toBe(true);
    serving.expectAllFree();
  });

  it("cancelled requests free what they hold or wait for", async () => {
    const serving = new Serving({ kvMib: 2.8 });
    let patience = 0;
    const answers = await Promise.all(
      mixed.map((request) => {
        let left = 12 * ++patience;
        return serving.ask({ ...request, ignoreEos: true }, (_, id) => {
          if (--left === 0) serving.engine.cancel(id);
        }).answer;
      }),
    );
    expect(answers.filter(({ reason }) => reason === finish.cancelled).length).toBeGreaterThan(5);
    expect(serving.engine.load().preemptions).toBeGreaterThan(0);
    serving.expectAllFree();
  });

  it("a request of higher priority goes first and takes the KV of the others", async () => {
    const low = { prompt: prompts[0] as number[], maxTokens: 400, ignoreEos: true };
    const high = { ...low, maxTokens: 200, priority: 1 };
    const serving = new Serving({ kvMib: 3 });
    const ended: string[] = [];
    const ask = async (name: string, request: Ask) => {
      const answer = await serving.answer(request);
      ended.push(name);
      return answer;
    };
    // Half as long as the requests before it, so it ends first unless it waits for one of them.
    const answers = await Promise.all([
      ...["low 1", "low 2", "low 3", "low 4"].map((name) => ask(name, low)),
      ask("high", high),
    ]);
    expect(ended[0]).toBe("high");
    expect(serving.engine.load().preemptions).toBeGreaterThan(0);
    const alone = await new Serving().answer(low);
    for (const answer of answers.slice(0, 4)) expect(written(answer)).toEqual(written(alone));
    expect(written(answers[4] as Answer)).toEqual(written(await new Serving().answer(high)));
    serving.expectAllFree();
  });

  it("a full queue says when to retry", async () => {
    const serving = new Serving({ maxRunning: 1, maxQueue: 2 });
    const request = { prompt: prompts[0] as number[], maxTokens: 50, ignoreEos: true };
    await serving.answer(request);
    const first = serving.ask(request);
    await first.seen("started");
    const waiting = [serving.answer(request), serving.answer(request)];
    let error: unknown;
    try {
      serving.ask(request);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: "resource_exhausted" });
    expect((error as { retryAfterSeconds: number }).retryAfterSeconds).toBeGreaterThan(0);
    await Promise.all([first.answer, ...waiting]);
    serving.expectAllFree();
  });
});

// ---- an answer that another engine began -------------------------------------------------------------------

/** An answer, and its events by step. */
async function recorded(serving: Serving, request: Ask) {
  const steps: EngineEvent[][] = [];
  const answer = await serving.ask(request, (events) => steps.push(events)).answer;
  return { answer, steps };
}

/** Without log-probabilities, which replay does not give, and without cache hits. */
const retold = (event: EngineEvent): EngineEvent => {
  if (event.kind === "finished") return { ...event, usage: { ...event.usage, cachedTokens: 0 } };
  if (event.kind !== "token") return event;
  const { logprob: _, top: __, ...token } = event.token;
  return { ...event, token };
};

/** Resumes after every step of the answer, and expects exactly the same events. */
async function expectResumable(model: { model?: string }, request: Ask): Promise<Answer> {
  const { answer, steps } = await recorded(new Serving(model), request);
  const elsewhere = new Serving({ ...model, kvMib: 4 });
  const resumed = await Promise.all(
    steps.slice(0, -1).map(async (_, at) => {
      const before = steps.slice(0, at + 1).flat();
      if (!before.some((event) => event.kind === "token")) return;
      const rest = await elsewhere.answer({ ...request, log: logOf(before) });
      const events = steps.flat();
      expect(rest.events.map(retold), `after step ${at}`).toEqual(events.map(retold));
      // The new tokens are equal to the bit.
      const fresh = steps.slice(at + 1).flat();
      expect(rest.events.slice(-fresh.length)).toEqual(fresh);
    }),
  );
  expect(resumed.length).toBeGreaterThan(3);
  elsewhere.expectAllFree();
  return answer;
}

describe("an answer that another engine began", () => {
  it.each(["compare-cities", "two-stages", "passage-questions"])(
    "%s continues after any of its steps with the same events",
    async (name) => {
      const answer = await expectResumable(
        {},
        {
          prompt: prompt(name),
          parallel: true,
          maxTokens: 200,
          seed: 9,
          sampling: {
            temperature: 0.7,
            topP: 0.9,
            presencePenalty: 0.2,
            logprobs: true,
            topLogprobs: 2,
          },
        },
      );
      expect(answer.usage.branches).toBeGreaterThan(1);
    },
  );

  it("continues inside a plan that is dropped later, from the logits before the plan", async () => {
    const answer = await expectResumable(
      { model: branching() },
      {
        prompt: [4, 5, 6],
        parallel: true,
        maxTokens: 30,
        sampling: {
          // A title that never closes: the plan is dropped because it is too long.
          logitBias: [
            [markers.titleOpen, 900],
            [markers.titleClose, -900],
          ],
        },
      },
    );
    expect(answer.usage.branches).toBe(0);
    expect(answer.lanes[0]?.[0]?.id).toBe(markers.titleOpen);
  });

  it("an answer that is cut by its budget or its caps ends the same way", async () => {
    for (const maxTokens of [9, 24, 40]) {
      await expectResumable(
        { model: branching() },
        {
          prompt: [4, 5, 6],
          parallel: true,
          maxTokens,
          seed: 3,
          ignoreEos: true,
          sampling: { temperature: 1, logitBias: eager },
        },
      );
    }
  });

  it("refuses a log that can't be the beginning of an answer", async () => {
    const serving = new Serving();
    const request: Ask = { prompt: prompt("compare-cities"), parallel: true, maxTokens: 200 };
    const { steps } = await recorded(serving, request);
    const opened = steps.findIndex((step) => step.some((event) => event.kind === "stageOpened"));
    const log = logOf(steps.slice(0, opened + 4).flat());
    const invalid: [string, LoggedLane[]][] = [
      ["a lane that nothing opened", [...log, { lane: 40, tokens: [5] }]],
      [
        "an opening that is not the plan's",
        log.map((l) =>
          l.lane === 2 ? { ...l, tokens: [...l.tokens.slice(0, 1), 9, ...l.tokens.slice(2)] } : l,
        ),
      ],
      ["a token outside the vocabulary", [{ lane: 0, tokens: [1 << 20] }]],
      ["no lane", [{ lane: -1, tokens: [4] }]],
      ["a marker where none is allowed", [{ lane: 0, tokens: [log[1]?.tokens[0] ?? 0] }]],
    ];
    for (const [what, broken] of invalid) {
      expect(
        refusal(() => serving.ask({ ...request, log: broken })),
        what,
      ).toBe("invalid_argument");
    }
    // Siblings may have got differently far, but none further than all might come within max_tokens.
    const openings = logOf(steps.slice(0, opened + 1).flat());
    const ahead = openings.map((l) =>
      l.lane === 1 ? (log.find(({ lane }) => lane === 1) ?? l) : l,
    );
    const maxTokens = ahead.reduce((sum, { tokens }) => sum + tokens.length, 0) + 1;
    expect(refusal(() => serving.ask({ ...request, maxTokens, log: ahead }))).toBe(
      "invalid_argument",
    );
    const whole = await serving.answer({ ...request, log: ahead });
    expect(byLane(whole.events)).toEqual(byLane(steps.flat()));
    serving.expectAllFree();
  });
});
