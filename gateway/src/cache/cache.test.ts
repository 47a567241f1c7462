import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { fakeModel } from "../../test/fake-script.ts";
import {
  adminHeaders,
  bearer,
  call,
  chat,
  events,
  type MadeKey,
  makeKey,
  register,
} from "../../test/gateway-client.ts";
import { answersObject, tenantObject } from "../environment.ts";
import { type AnswerKey, answerKey } from "./answer-key.ts";
import { messageStream } from "./frames.ts";

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

describe("equal requests at the same time", () => {
  const slow = { serial: "a b c d e f g h i j k l m n o p ", stepMs: 30 };
  /** How many answers workers decoded for the tenant. */
  const decoded = async ({ tenant }: MadeKey) => {
    await tenantObject(env, tenant).flush();
    const rows = env.DB.prepare(
      "SELECT count(*) AS n FROM usage WHERE tenant_id = ? AND cache = 'miss'",
    );
    return (await rows.bind(tenant).first<{ n: number }>())?.n;
  };
  const textOf = async (response: Response) =>
    (await response.json<{ choices: { message: { content: string } }[] }>()).choices[0]?.message
      .content;

  it("are decoded once, and each client gets the whole, streamed or not", async () => {
    const streams = Array.from({ length: 5 }, () =>
      chat(mine.key, slow, { ...fixed, stream: true }),
    );
    const wholes = Array.from({ length: 15 }, () => chat(mine.key, slow, fixed));
    const texts = await Promise.all([
      ...streams.map(async (stream) => {
        const chunks = await events(await stream);
        const pieces = chunks.map(
          ({ choices }) => (choices as { delta: { content?: string } }[])[0]?.delta.content,
        );
        return pieces.join("");
      }),
      ...wholes.map(async (whole) => textOf(await whole)),
    ]);
    expect(new Set(texts)).toEqual(new Set([slow.serial]));
    expect(await decoded(mine)).toBe(1);
  });

  it("of another tenant are decoded for it", async () => {
    await Promise.all(
      [chat(mine.key, slow, fixed), chat(theirs.key, slow, fixed)].map(async (each) =>
        (await each).text(),
      ),
    );
    expect([await decoded(mine), await decoded(theirs)]).toEqual([1, 1]);
  });

  it("go on if the one that led them leaves", async () => {
    const leader = await chat(mine.key, slow, { ...fixed, stream: true });
    const followers = Array.from({ length: 3 }, () => chat(mine.key, slow, fixed));
    const reader = leader.body?.getReader();
    await reader?.read();
    await scheduler.wait(200);
    await reader?.cancel();
    const texts = await Promise.all(followers.map(async (each) => textOf(await each)));
    expect(texts).toEqual([slow.serial, slow.serial, slow.serial]);
    // The one that led, and the one that took its place.
    await expect.poll(() => decoded(mine)).toBe(2);
  });

  it("go on if the one that led them is never heard of again", async () => {
    const stub = answersObject(env, "silent");
    const opened = await stub.open("key", "gone", "");
    expect(opened.kind).toBe("lead");
    await stub.tell("key", "gone", null);
    const followed = await stub.open("key", "next", "");
    if (followed.kind !== "follow") throw new Error(followed.kind);
    const { messages } = messageStream(followed.stream);
    await expect(messages.next()).rejects.toThrow(/lost/);
    expect((await stub.open("key", "next", "")).kind).toBe("lead");
    await stub.abandon("key", "next");
  });
});

describe("Idempotency-Key", () => {
  const ask = (key: string, idempotency: string, fields: object = {}) => {
    const body = {
      model: "fake",
      messages: [{ role: "user", content: JSON.stringify(script) }],
      ...fields,
    };
    return call("/v1/chat/completions", {
      method: "POST",
      headers: { ...bearer(key), "idempotency-key": idempotency },
      body: JSON.stringify(body),
    });
  };

  it("gets the same answer again, under the same id, also while it runs", async () => {
    const both = await Promise.all([ask(mine.key, "once"), ask(mine.key, "once")]);
    const bodies = await Promise.all(
      [...both, await ask(mine.key, "once")].map((each) =>
        each.json<{ id: string; choices: object }>(),
      ),
    );
    const [first] = bodies;
    for (const body of bodies)
      expect(body).toMatchObject({ id: first?.id, choices: first?.choices });
    const other = await (await ask(mine.key, "twice")).json<{ id: string }>();
    expect(other.id).not.toBe(first?.id);
  });

  it("is refused for another request, and belongs to its API key", async () => {
    await (await ask(mine.key, "mine")).text();
    const refused = await ask(mine.key, "mine", { max_tokens: 5 });
    expect(refused.status).toBe(409);
    expect(await refused.json()).toMatchObject({ error: { code: "idempotency_key_reused" } });
    const colleague = await makeKey(mine.tenant);
    expect((await ask(colleague.key, "mine", { max_tokens: 5 })).status).toBe(200);
    expect((await ask(mine.key, "x".repeat(256))).status).toBe(400);
  });

  it("does not keep a failure", async () => {
    const dying = JSON.stringify({ serial: "a b", dieAt: 1 });
    const messages = [{ role: "user", content: dying }];
    expect((await ask(mine.key, "failing", { messages })).status).toBe(502);
    expect((await ask(mine.key, "failing")).status).toBe(200);
  });
});

describe("the cache's store", () => {
  const entry = (bytes: number, model = "m") => ({
    ...{ log: new ArrayBuffer(bytes), fingerprint: "", model },
  });
  const has = async (stub: ReturnType<typeof answersObject>, key: string) => {
    const opened = await stub.open(key, "test", "");
    if (opened.kind === "lead") await stub.abandon(key, "test");
    return opened.kind === "hit";
  };

  it("forgets the oldest when it is full, and what has expired", async () => {
    const stub = answersObject(env, "cache-store");
    for (let index = 0; index < 75; index++) await stub.write(`key-${index}`, entry(900_000));
    expect(await has(stub, "key-0")).toBe(false);
    expect(await has(stub, "key-74")).toBe(true);
    await runInDurableObject(stub, (_, { storage }) =>
      storage.sql.exec("UPDATE entries SET expires = 1 WHERE key = 'key-74'").toArray(),
    );
    expect(await has(stub, "key-74")).toBe(false);
  });

  it("does not take what is too large", async () => {
    const stub = answersObject(env, "cache-large");
    await stub.write("key", entry(1_000_001));
    expect(await has(stub, "key")).toBe(false);
  });

  it("is purged by tenant and by model", async () => {
    const purge = async (query: string) => {
      const response = await call(`/admin/v1/cache?${query}`, {
        method: "DELETE",
        headers: adminHeaders,
      });
      return response.json();
    };
    await register(1, {}, "fake-1", { ...fakeModel, id: "other" });
    const state = (key: string, model = "fake") => stateOf(chat(key, script, { ...fixed, model }));
    for (const each of [mine, theirs]) await state(each.key);
    await state(mine.key, "other");
    expect(await purge(`tenant=${mine.tenant}&model=other`)).toEqual({ purged: 1 });
    expect(await state(mine.key, "other")).toBe("miss");
    expect(await state(mine.key)).toBe("hit");
    expect(await purge(`tenant=${mine.tenant}`)).toEqual({ purged: 2 });
    expect(await state(mine.key)).toBe("miss");
    expect(await state(theirs.key)).toBe("hit");
    await purge("model=fake");
    expect(await state(theirs.key)).toBe("miss");
    expect(await purge("tenant=nobody")).toMatchObject({ error: { code: "tenant_not_found" } });
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
    stopTokenIds: [],
    ignoreEos: false,
    stop: [],
    constraint: null,
    sampling: { temperature: 1, topP: 1 },
    minTokens: 0,
    echo: false,
    inputs: [{ case: "text", value: "x" }],
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
      { minTokens: 1 },
      { echo: true },
      { inputs: [{ case: "text", value: "y" }] },
      {
        inputs: [
          { case: "text", value: "x" },
          { case: "text", value: "x" },
        ],
      },
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
