import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { fakeModel } from "../../test/fake-script.ts";
import { chat, events, type MadeKey, makeKey, register } from "../../test/gateway-client.ts";
import { answersObject } from "../environment.ts";
import { type AnswerKey, answerKey } from "./answer-key.ts";

// Workers fall silent soon, so each test has one that was just heard from.
beforeEach(() => register(0));

let mine: MadeKey;
let theirs: MadeKey;
let number = 0;
beforeEach(async () => {
  number++;
  mine = await makeKey(`cache-mine-${number}`);
  theirs = await makeKey(`cache-theirs-${number}`);
});

const stateOf = async (response: Promise<Response>) => {
  const { headers, status } = await response;
  expect(status).toBe(200);
  return headers.get("x-anabranch-cache");
};

const script = { serial: "one two ", stage: { A: "a b c ", B: "d e " }, tail: "end" };
const fixed = { temperature: 0, anabranch: { mode: "parallel" } };

describe("the answer cache", () => {
  it("hits for the tenant that asked before, and misses for another", async () => {
    expect(await stateOf(chat(mine.key, script, fixed))).toBe("miss");
    expect(await stateOf(chat(mine.key, script, fixed))).toBe("hit");
    expect(await stateOf(chat(theirs.key, script, fixed))).toBe("miss");
    const colleague = await makeKey(mine.tenant);
    expect(await stateOf(chat(colleague.key, script, fixed))).toBe("hit");
  });

  it("returns the same answer, streamed either way or not streamed", async () => {
    const first = await (await chat(mine.key, script, fixed)).json<{ choices: unknown[] }>();
    const again = await (await chat(mine.key, script, fixed)).json<{ choices: unknown[] }>();
    expect(again).toMatchObject({ ...first, id: expect.anything(), created: expect.anything() });

    const plain = await chat(mine.key, script, { ...fixed, stream: true });
    expect(plain.headers.get("x-anabranch-cache")).toBe("hit");
    const text = (await events(plain))
      .map((event) => (event.choices as { delta: { content?: string } }[])[0]?.delta.content ?? "")
      .join("");
    expect(text).toBe("one two a b c d e end");

    const lanes = await chat(mine.key, script, {
      ...fixed,
      stream: true,
      anabranch: { ...fixed.anabranch, stream: "lanes" },
    });
    expect(lanes.headers.get("x-anabranch-cache")).toBe("hit");
    const marks = (await events(lanes)).map(({ anabranch }) => anabranch as { lane: number });
    const order = marks.map(({ lane }) => lane).join("");
    expect(order).toMatch(/1212/);
  });

  it("is bypassed if the answer is not deterministic, or if the client asks for it", async () => {
    expect(await stateOf(chat(mine.key, script, {}))).toBe("bypass");
    expect(await stateOf(chat(mine.key, script, { temperature: 0.5 }))).toBe("bypass");
    const bypass = { ...fixed, anabranch: { ...fixed.anabranch, cache: "bypass" } };
    expect(await stateOf(chat(mine.key, script, bypass))).toBe("bypass");
    expect(await stateOf(chat(mine.key, script, fixed))).toBe("miss");
  });

  it("goes by the model's own sampling where the request names none", async () => {
    const samplingDefaults = {
      temperature: 0,
      topP: 0.9,
      topK: 20,
      minP: 0,
      repetitionPenalty: 1.05,
    };
    await register(1, {}, "fake-1", { ...fakeModel, id: "greedy", samplingDefaults });
    const sampled = { ...samplingDefaults, temperature: 0.7 };
    await register(0, {}, "fake-0", { ...fakeModel, id: "sampled", samplingDefaults: sampled });
    const of = (model: string, fields: object) =>
      stateOf(chat(mine.key, script, { model, ...fields }));
    expect(await of("greedy", {})).toBe("miss");
    expect(await of("greedy", {})).toBe("hit");
    const same = { temperature: 0, top_p: 0.9, top_k: 20, min_p: 0, repetition_penalty: 1.05 };
    expect(await of("greedy", same)).toBe("hit");
    expect(await of("greedy", { repetition_penalty: 1 })).toBe("miss");
    expect(await of("greedy", { temperature: 1 })).toBe("bypass");
    expect(await of("sampled", {})).toBe("bypass");
    expect(await of("sampled", { temperature: 0 })).toBe("miss");
    expect(await of("sampled", { seed: 3 })).toBe("miss");
    expect(await of("sampled", { seed: 3, temperature: 0.7 })).toBe("hit");
  });

  it("remembers a seeded answer under its seed", async () => {
    expect(await stateOf(chat(mine.key, script, { seed: 7 }))).toBe("miss");
    expect(await stateOf(chat(mine.key, script, { seed: 7 }))).toBe("hit");
    expect(await stateOf(chat(mine.key, script, { seed: 8 }))).toBe("miss");
  });

  it("keeps all choices of an answer together, and apart from fewer", async () => {
    const ask = (n: number) => chat(mine.key, script, { ...fixed, n });
    const first = await ask(3);
    expect(first.headers.get("x-anabranch-cache")).toBe("miss");
    const again = await ask(3);
    expect(again.headers.get("x-anabranch-cache")).toBe("hit");
    const body = await again.json<{ choices: unknown[]; usage: unknown }>();
    const { choices, usage } = await first.json<{ choices: unknown[]; usage: unknown }>();
    expect(body).toMatchObject({ choices, usage });
    expect(choices).toHaveLength(3);
    expect(await stateOf(ask(1))).toBe("miss");
    expect(await stateOf(ask(2))).toBe("miss");
  });

  it("never keeps an answer that was cut off", async () => {
    const dying = { serial: "a b c d", dieAt: 2 };
    const broken = await chat(mine.key, dying, { ...fixed, stream: true });
    expect((await events(broken)).at(-1)).toMatchObject({ error: { code: "worker_lost" } });
    const again = await chat(mine.key, dying, { ...fixed, stream: true });
    expect(again.headers.get("x-anabranch-cache")).toBe("miss");
    await again.text();
    // Nor one of whose choices only some came to their end.
    const some = { ...dying, diesAlone: 1 };
    for (let count = 0; count < 2; count++) {
      const partly = await chat(mine.key, some, { ...fixed, n: 2, stream: true });
      expect(partly.headers.get("x-anabranch-cache")).toBe("miss");
      await partly.text();
    }
  });

  it("keeps an answer that ended at max_tokens apart from a longer one", async () => {
    const ask = (max_tokens: number) => chat(mine.key, script, { ...fixed, max_tokens });
    expect(await stateOf(ask(3))).toBe("miss");
    expect(await stateOf(ask(3))).toBe("hit");
    expect(await stateOf(ask(30))).toBe("miss");
  });
});

describe("the cache's store", () => {
  it("forgets the oldest when it is full, and what has expired", async () => {
    const stub = answersObject(env, "cache-store");
    const big = new ArrayBuffer(900_000);
    for (let index = 0; index < 75; index++) await stub.write(`key-${index}`, big);
    expect(await stub.read("key-0")).toBeNull();
    expect((await stub.read("key-74"))?.byteLength).toBe(900_000);
    await runInDurableObject(stub, (_, { storage }) =>
      storage.sql.exec("UPDATE answers SET expires = 1 WHERE key = 'key-74'").toArray(),
    );
    expect(await stub.read("key-74")).toBeNull();
  });

  it("does not take what is too large", async () => {
    const stub = answersObject(env, "cache-large");
    await stub.write("key", new ArrayBuffer(1_000_001));
    expect(await stub.read("key")).toBeNull();
  });
});

describe("the cache key", () => {
  const key: AnswerKey = {
    tenantId: "t",
    model: "m",
    modelDigest: "d",
    mode: "serial",
    classifier: null,
    maxBranches: 0,
    maxTokens: 10,
    n: 1,
    seed: "1",
    stop: [],
    sampling: { temperature: 1, topP: 1 },
    input: { case: "text", value: "x" },
  };

  it("is another for whatever changes the answer", async () => {
    const others: Partial<AnswerKey>[] = [
      { tenantId: "u" },
      { model: "n" },
      { modelDigest: "e" },
      { mode: "parallel" },
      { classifier: "1" },
      { maxBranches: 2 },
      { maxTokens: 11 },
      { n: 2 },
      { seed: "2" },
      { seed: null },
      { stop: ["a"] },
      { sampling: { temperature: 1, topP: 0.9 } },
      { input: { case: "text", value: "y" } },
    ];
    const hashes = await Promise.all(
      [{}, ...others].map((other) => answerKey({ ...key, ...other })),
    );
    expect(new Set(hashes).size).toBe(others.length + 1);
  });

  it("does not depend on the order of fields", async () => {
    const turned = { ...key, sampling: { topP: 1, temperature: 1 } };
    expect(await answerKey(turned)).toBe(await answerKey(key));
  });
});
