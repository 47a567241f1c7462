// The client library against a real gateway: the same claims on Node, in workerd and in a browser.
import {
  Anabranch,
  type AnswerEvent,
  AuthenticationError,
  BadRequestError,
  type ClientOptions,
  ConnectionError,
  LaneAnswer,
  NotFoundError,
  ServerError,
  TimeoutError,
} from "@anabranch/client";
import fc from "fast-check";
import { describe, expect, inject, it } from "vitest";

const model = "anabranch-small";
const messages = [
  {
    role: "user" as const,
    content: "Describe Mercury, Earth and Mars. Give each its own section.",
  },
];
const anabranch = { mode: "parallel" as const };
const greedy = { model, messages, temperature: 0, max_tokens: 600, anabranch };
/** Its answers are random: only an Idempotency-Key makes two attempts one. */
const sampled = { ...greedy, temperature: 1 };

const keys = [...inject("keys")];
let names = 0;

/** A client of a tenant of its own. */
function open(options: Partial<ClientOptions> = {}): Anabranch {
  const apiKey = keys.pop() ?? "";
  return new Anabranch({ baseURL: inject("gateway"), apiKey, ...options });
}

/** The same, on a way whose first connection fails. */
function openFaulty(fault: string, options: Partial<ClientOptions> = {}) {
  const name = `${names++}`;
  return {
    client: open({ baseURL: `${inject("faulty")}/${name}/${fault}`, ...options }),
    /** The Idempotency-Key of each. */
    attempts: () => told<(string | null)[]>(`${name}/attempts`),
    breakOff: () => told<boolean>(`${name}/break-off`),
  };
}

async function told<T>(path: string): Promise<T> {
  return (await fetch(`${inject("faulty")}/${path}`)).json();
}
const decoded = () => told<number>("decoded");

const cutOff = async (client: Anabranch) =>
  (await client.usage({ by: "hour" })).totals.incomplete.requests;

describe("a seed", () => {
  it("above 2^53 is sent exactly", async () => {
    const client = open();
    const ask = (seed: bigint) =>
      client.answer({ ...greedy, temperature: 1, seed, max_tokens: 60 });
    const seed = 2n ** 53n;
    expect((await ask(seed)).cache).toBe("miss");
    expect((await ask(seed)).cache).toBe("hit");
    // As a number it would be the same, and a hit.
    expect((await ask(seed + 1n)).cache).toBe("miss");
  });
});

describe("an answer", () => {
  it("has its text, its branches by their titles, and what it cost", async () => {
    const answer = await open().answer(greedy);
    expect(answer.finishReason).toBe("stop");
    expect([...answer.branches.keys()].length).toBeGreaterThanOrEqual(2);
    for (const body of answer.branches.values()) expect(answer.text).toContain(body);
    expect(answer.message).toEqual({
      ...{ role: "assistant", content: answer.text, anabranch: { parts: answer.parts } },
    });
    expect(answer.usage.anabranch.branches).toBe(answer.branches.size);
    expect(answer.requestId).toMatch(/./);
    expect(answer.mode).toBe("parallel");
  });

  it("is the same when it is streamed, and its branches grow side by side", async () => {
    const client = open();
    const whole = await client.answer(greedy);
    const stream = client.stream({ ...greedy, anabranch: { ...anabranch, cache: "bypass" } });
    const kinds = new Set<AnswerEvent["kind"]>();
    let most = 0;
    for await (const event of stream) {
      kinds.add(event.kind);
      const open = stream.document.stages.flatMap(({ branches }) => branches);
      most = Math.max(most, open.filter(({ text, closed }) => text !== "" && !closed).length);
    }
    expect(most).toBeGreaterThanOrEqual(2);
    expect([...kinds].sort()).toEqual(
      ["branch_closed", "finished", "stage_closed", "stage_opened", "text"].sort(),
    );
    const streamed = await stream.finalAnswer();
    const { id: _, requestId, cache, usage, ...rest } = whole;
    expect(streamed).toMatchObject(rest);
    expect(stream.document.text).toBe(whole.text);
    expect(streamed.usage.anabranch.steps).toBe(usage.anabranch.steps);
    expect([requestId, cache]).not.toEqual([streamed.requestId, streamed.cache]);
  });

  it("goes on from an earlier one, whose structure it takes back", async () => {
    const client = open();
    const { message } = await client.answer(greedy);
    const second = [...messages, message, ...messages];
    const answer = await client.answer({ ...greedy, messages: second, max_tokens: 20 });
    expect(answer.usage.completion_tokens).toBeGreaterThan(0);
  });

  it("has log-probabilities in the order of its text, streamed or not", async () => {
    const client = open();
    const request = { ...greedy, logprobs: true, max_tokens: 200 };
    const whole = await client.answer(request);
    const streamed = await client.stream(request).finalAnswer();
    expect(whole.logprobs?.length).toBeGreaterThan(10);
    expect(streamed.logprobs?.map(({ token }) => token)).toEqual(
      whole.logprobs?.map(({ token }) => token),
    );
  });

  it("to declared questions comes by their names", async () => {
    const answers = await open().ask({
      ...{ model, temperature: 0, max_tokens: 12, messages },
      branches: {
        first: "Describe Mercury.",
        second: { content: "Yes or no?", response_format: { type: "json_object" } },
      },
    });
    expect(Object.keys(answers)).toEqual(["first", "second"]);
    expect(answers.first.text).toMatch(/\w/);
    expect(answers.second.text).toMatch(/^\s*\{/);
    expect(["stop", "length"]).toContain(answers.second.finishReason);
  });
});

describe("an error", () => {
  it("is of a class, with the gateway's words, the request's id and the field", async () => {
    const client = open();
    await expect(client.answer({ ...greedy, model: "none" })).rejects.toThrow(NotFoundError);
    const wrong = client.answer({ ...greedy, temperature: 9 });
    await expect(wrong).rejects.toMatchObject({ status: 400, param: "temperature" });
    await expect(wrong).rejects.toThrow(BadRequestError);
    const error = await client
      .stream({ ...greedy, top_p: 7 })
      .finalAnswer()
      .catch((e) => e);
    expect(error).toBeInstanceOf(BadRequestError);
    expect(error.requestId).toMatch(/./);
    const stranger = new Anabranch({ baseURL: inject("gateway"), apiKey: "sk-ab-nobody" });
    await expect(stranger.models()).rejects.toThrow(AuthenticationError);
  });

  it("of a gateway that is not there says so", async () => {
    const nowhere = new Anabranch({
      ...{ baseURL: "http://127.0.0.1:9", apiKey: "sk", maxRetries: 0 },
    });
    await expect(nowhere.models()).rejects.toThrow(ConnectionError);
  });

  it("of a gateway that falls silent is a timeout", async () => {
    const { client } = openFaulty("silent", { timeout: 300, maxRetries: 0 });
    await expect(client.answer(greedy)).rejects.toThrow(TimeoutError);
  });
});

describe("a failed attempt", () => {
  it.each(["refused", "busy"])("that was %s is made again with the same key", async (fault) => {
    const { client, attempts } = openFaulty(fault);
    const answer = await client.answer(sampled);
    expect(answer.text).toMatch(/\w/);
    const [first, second, ...more] = await attempts();
    expect(first).toMatch(/^[0-9a-f]{32}$/);
    expect(second).toBe(first);
    expect(more).toEqual([]);
  });

  it.each(["whole", "streamed"])("whose answer was lost is not decoded twice (%s)", async (way) => {
    const { client, attempts } = openFaulty("lost");
    const before = await decoded();
    const answer = await (way === "whole"
      ? client.answer(sampled)
      : client.stream(sampled).finalAnswer());
    expect((await attempts()).length).toBe(2);
    expect(answer.cache).toBe("hit");
    expect(await decoded()).toBe(before + 1);
  });

  it("is not made again once events were handed on, or if no retries are left", async () => {
    const { client, attempts, breakOff } = openFaulty("cut");
    const stream = client.stream(sampled);
    const events: AnswerEvent[] = [];
    const read = async () => {
      for await (const event of stream) {
        if (events.push(event) === 1) expect(await breakOff()).toBe(true);
      }
    };
    await expect(read()).rejects.toThrow(ConnectionError);
    expect((await attempts()).length).toBe(1);

    const busy = openFaulty("busy", { maxRetries: 0 });
    await expect(busy.client.answer(sampled)).rejects.toThrow(ServerError);
  });
});

describe("leaving", () => {
  const endless = { ...greedy, ignore_eos: true, max_tokens: 1_000, anabranch: {} };

  it.each(["the loop", "by the signal"])("%s ends the answer at the gateway", async (how) => {
    const client = open();
    const leave = new AbortController();
    const stream = client.stream(endless, { signal: leave.signal });
    const read = async () => {
      for await (const event of stream) {
        if (event.kind !== "text" || event.text === "") continue;
        if (how === "the loop") break;
        leave.abort(new Error("enough"));
      }
    };
    if (how === "the loop") {
      await read();
      await expect(stream.finalAnswer()).rejects.toThrow("left before its end");
    } else {
      await expect(read()).rejects.toThrow("enough");
    }
    await expect.poll(() => cutOff(client), { timeout: 20_000 }).toBe(1);
  });

  it("before the request is sent sends none", async () => {
    const { client, attempts } = openFaulty("refused");
    const signal = AbortSignal.abort(new Error("no"));
    await expect(client.answer(greedy, { signal })).rejects.toThrow("no");
    expect(await attempts()).toEqual([]);
  });
});

describe("the document", () => {
  const text = fc.string({ minLength: 1, maxLength: 4 });
  const branch = fc.record({ pieces: fc.array(text, { maxLength: 5 }), dropped: fc.boolean() });
  const stage = fc.record({
    kind: fc.constantFrom("planned", "outlined", "declared"),
    branches: fc.array(branch, { minLength: 2, maxLength: 6 }),
  });
  const answers = fc.record({
    ...{ before: text, after: text, picks: fc.infiniteStream(fc.nat()) },
    stages: fc.array(stage, { minLength: 1, maxLength: 3 }),
  });

  it("is the same however its branches interleave, and has no branch that was dropped", () => {
    const claim = fc.property(answers, ({ before, after, stages, picks }) => {
      const answer = new LaneAnswer();
      const push = (content: string, mark: object) => {
        const chunk = { choices: [{ delta: { content } }] };
        answer.push({ ...chunk, anabranch: { stage: null, title: null, ...mark } } as typeof chunk);
      };
      let next = 1;
      push(before, { event: "delta", lane: 0 });
      const bodies: string[][] = [];
      let expected = before;
      for (const [stage, { kind, branches }] of stages.entries()) {
        const outlined = kind === "outlined";
        const kept = branches.filter(({ dropped }) => !(outlined && dropped));
        const texts = kept.map(({ pieces }) => pieces.join(""));
        const ids = branches.map(() => next++);
        const titles = ids.map(String);
        const lead = (index: number) => `${index > 0 ? "\n\n" : ""}**${titles[index]}**\n\n`;
        expected += texts.map((body, at) => (kind === "declared" ? lead(at) : "") + body).join("");
        bodies.push(texts);
        const flags = {
          ...(outlined && { outlined }),
          ...(kind === "declared" && { declared: true }),
        };
        push("", { event: "stage_opened", lane: 0, stage, lanes: ids, titles, ...flags });
        // What each branch does, one after the other; their turns are random.
        const left = branches.map(({ pieces, dropped }, index) => {
          const mark = { lane: ids[index], stage };
          const gone = outlined && dropped;
          return [
            ...pieces.map((piece) => () => push(piece, { event: "delta", ...mark })),
            ...(outlined && !gone ? [() => push("", { event: "branch_accepted", ...mark })] : []),
            () =>
              push("", { event: "branch_closed", reason: gone ? "dropped" : "marker", ...mark }),
          ];
        });
        while (left.length > 0) {
          const at = (picks.next().value ?? 0) % left.length;
          left[at]?.shift()?.();
          if (left[at]?.length === 0) left.splice(at, 1);
        }
        push("", { event: "stage_closed", lane: 0, stage });
      }
      push(after, { event: "delta", lane: 0 });
      expect(answer.text).toBe(expected + after);
      const shown = answer.stages.map(({ branches }) => branches.filter(({ void: no }) => !no));
      expect(shown.map((each) => each.map(({ text }) => text))).toEqual(bodies);
    });
    fc.assert(claim, { numRuns: 300 });
  });
});
