// An OpenAI client, the gateway, real workers, the native engine: what the parts promise each other.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type AnswerPart, collectChoices, collectLanes } from "@anabranch/shared/lane-answer.ts";
import { textOfParts } from "@anabranch/shared/parts.ts";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../local/bundle.ts";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";

const model = "anabranch-small";
const parallelPrompt = "Describe Mercury, Earth and Mars. Give each its own section.";
const user = (content: string) => [{ role: "user" as const, content }];

const generation = JSON.parse(
  readFileSync(join(root, "models/small/generation_config.json"), "utf8"),
) as { eos_token_id: number | number[] };
/** A bias with which no answer ends by itself. */
const endless = Object.fromEntries([generation.eos_token_id].flat().map((id) => [id, -100]));

/** OpenAI's usage, and ours in it. */
interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  anabranch: { steps: number; stages: number; branches: number; visible_tokens: number };
}

/** Our field of the request, which OpenAI's types do not know. */
const ours = (anabranch: object) => ({ anabranch }) as object;
const usageOf = ({ usage }: { usage?: unknown }) => usage as Usage;
const cachedTokens = ({ usage }: OpenAI.ChatCompletion) =>
  usage?.prompt_tokens_details?.cached_tokens ?? Number.NaN;

let cluster: TestCluster;
const workers = new Map<string, ChildProcess>();
const clients = new Map<string, OpenAI>();

async function client(tenant: string): Promise<OpenAI> {
  const known = clients.get(tenant);
  if (known) return known;
  const apiKey = await cluster.key(tenant);
  const made = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey, maxRetries: 0 });
  clients.set(tenant, made);
  return made;
}

async function addWorker(id: string): Promise<void> {
  workers.set(id, await cluster.addWorker(id));
}

beforeAll(async () => {
  cluster = await openTestCluster();
  await addWorker("first");
}, 120_000);
afterAll(() => cluster.close());

describe("with one worker", () => {
  it("answers a parallel question with fewer steps than visible tokens", async () => {
    const openai = await client("plain");
    const request = { model, temperature: 0, max_tokens: 600, messages: user(parallelPrompt) };
    const answer = await openai.chat.completions.create({
      ...request,
      ...ours({ mode: "parallel", cache: "bypass" }),
    });
    const { anabranch } = usageOf(answer);
    expect(answer.choices[0]?.finish_reason).toBe("stop");
    expect(anabranch.branches).toBeGreaterThanOrEqual(2);
    expect(anabranch.steps).toBeLessThan(anabranch.visible_tokens);
  });

  it("gives the same text not streamed, ordered and in lanes, and lanes interleave", async () => {
    const openai = await client("plain");
    const request = {
      ...{ model, temperature: 0, max_tokens: 600, messages: user(parallelPrompt) },
      ...ours({ mode: "parallel", cache: "bypass" }),
    };
    const whole = await openai.chat.completions.create(request);
    const stream_options = { include_usage: true };
    const ordered = await openai.chat.completions.create({
      ...request,
      stream: true,
      stream_options,
    });
    let text = "";
    let usage: Usage | undefined;
    for await (const chunk of ordered) {
      text += chunk.choices[0]?.delta.content ?? "";
      if (chunk.usage) {
        expect(chunk.choices).toEqual([]);
        usage = usageOf(chunk);
      }
    }
    expect(text).toBe(whole.choices[0]?.message.content);
    expect(usage?.completion_tokens).toBe(whole.usage?.completion_tokens);

    const lanes = await openai.chat.completions.create({
      ...request,
      ...ours({ mode: "parallel", cache: "bypass", stream: "lanes" }),
      stream: true,
    });
    const order: number[] = [];
    const answer = await collectLanes(
      (async function* () {
        for await (const chunk of lanes) {
          const { event, lane } = Reflect.get(chunk, "anabranch");
          if (event === "delta" && chunk.choices[0]?.delta.content) order.push(lane);
          yield chunk;
        }
      })(),
    );
    expect(answer.text).toBe(text);
    expect(answer.stages[0]?.branches.length).toBeGreaterThanOrEqual(2);
    const runs = order.filter((lane, index) => lane !== order[index - 1]).length;
    expect(runs).toBeGreaterThan(new Set(order).size + 2);
  });

  it("closes the branches and the stage that max_tokens cuts, each at the end of a line", async () => {
    const openai = await client("plain");
    let cut = 0;
    for (let max_tokens = 60; max_tokens < 140; max_tokens += 10) {
      const chunks = await openai.chat.completions.create({
        ...{ model, temperature: 0, max_tokens, messages: user(parallelPrompt), stream: true },
        ...ours({ mode: "parallel", cache: "bypass", stream: "lanes" }),
      });
      const answer = await collectLanes(chunks);
      for (const { branches, closed } of answer.stages) {
        expect(closed).toBe(true);
        for (const { reason, text } of branches) {
          expect(reason).not.toBeNull();
          if (reason !== "cap") continue;
          cut++;
          expect(answer.finishReason).toBe("length");
          expect(text).toMatch(/^$|\n$/);
        }
      }
    }
    expect(cut).toBeGreaterThan(0);
  });

  it("opens no branch in serial mode", async () => {
    const openai = await client("plain");
    const answer = await openai.chat.completions.create({
      ...{ model, temperature: 0, max_tokens: 200, messages: user(parallelPrompt) },
      ...ours({ mode: "serial" }),
    });
    expect(usageOf(answer).anabranch).toMatchObject({ stages: 0, branches: 0 });
  });

  it("stops at a stop string in any branch, as in the whole text", async () => {
    const openai = await client("plain");
    const request = {
      ...{ model, temperature: 0, max_tokens: 600, messages: user(parallelPrompt) },
      ...ours({ mode: "parallel", cache: "bypass" }),
    };
    const whole = await openai.chat.completions.create(request);
    const text = whole.choices[0]?.message.content ?? "";
    // A stop string well inside the answer, so most likely inside a branch.
    const stop = text.slice(Math.floor(text.length / 2)).match(/[a-z]{4,} [a-z]{3,}/)?.[0] ?? "";
    expect(stop).not.toBe("");
    const expected = text.slice(0, text.indexOf(stop));
    for (const stream of ["ordered", "lanes"]) {
      const chunks = await openai.chat.completions.create({
        ...request,
        ...ours({ mode: "parallel", cache: "bypass", stream }),
        stop,
        stream: true,
      });
      const cut = await collectLanes(chunks);
      expect(cut.text, stream).toBe(expected);
      expect(cut.finishReason).toBe("stop");
    }
  });

  it("reports log-probabilities of the visible tokens only", async () => {
    const openai = await client("plain");
    const answer = await openai.chat.completions.create({
      ...{ model, temperature: 0, max_tokens: 600, messages: user(parallelPrompt) },
      ...{ logprobs: true, top_logprobs: 2 },
      ...ours({ mode: "parallel" }),
    });
    const [choice] = answer.choices;
    const tokens = choice?.logprobs?.content ?? [];
    expect(tokens.map(({ token }) => token).join("")).toBe(choice?.message.content);
    expect(tokens).toHaveLength(usageOf(answer).anabranch.visible_tokens);
    for (const { logprob, top_logprobs } of tokens) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top_logprobs).toHaveLength(2);
    }
  });

  it("refuses what the model can't take, by its field", async () => {
    const openai = await client("plain");
    const long = "word ".repeat(20_000);
    const request = { model, messages: user(long) };
    await expect(openai.chat.completions.create(request)).rejects.toMatchObject({
      status: 400,
      param: "messages",
      code: "context_length_exceeded",
    });
    const nobody = { model: "nobody", messages: user("x") };
    await expect(openai.chat.completions.create(nobody)).rejects.toMatchObject({ status: 404 });
  });

  it("frees every KV block within a second of its clients' leaving", async () => {
    const openai = await client("leaving");
    const request = {
      ...{ model, max_tokens: 900, messages: user(parallelPrompt), stream: true as const },
      // Left alone, these would take several seconds.
      logit_bias: endless,
      // Equal requests would share one answer.
      ...ours({ mode: "serial", cache: "bypass" }),
    };
    const streams = await Promise.all(
      Array.from({ length: 8 }, () => openai.chat.completions.create(request)),
    );
    for (const stream of streams) {
      for await (const _ of stream) break;
      stream.controller.abort();
    }
    const left = Date.now();
    await expect
      .poll(async () => (await cluster.pool())[0]?.kv, { timeout: 1_000, interval: 20 })
      .toSatisfy(({ free, total }) => free === total && total > 0);
    process.stderr.write(`KV was free ${Date.now() - left} ms after the clients left\n`);
    expect(await cluster.usage(openai.apiKey as string)).toMatchObject({
      requests: 0,
      incomplete: { requests: 8 },
    });
  });

  it("gives several choices of one prompt, each as its number and the seed say", async () => {
    const openai = await client("choices");
    const request = {
      ...{ model, temperature: 2, seed: 7, max_tokens: 600, messages: user(parallelPrompt) },
      ...ours({ mode: "parallel", cache: "bypass" }),
    };
    const n = 3;
    const whole = await openai.chat.completions.create({ ...request, n });
    const texts = whole.choices.map(({ message }) => message.content);
    expect(whole.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(new Set(texts).size).toBeGreaterThan(1);
    const one = await openai.chat.completions.create(request);
    expect(one.choices[0]?.message.content).toBe(texts[0]);
    expect(whole.usage?.prompt_tokens).toBe(one.usage?.prompt_tokens);
    expect(whole.usage?.completion_tokens).toBeGreaterThan(one.usage?.completion_tokens ?? 0);

    for (const stream of ["ordered", "lanes"]) {
      const chunks = await openai.chat.completions.create({
        ...{ ...request, n, stream: true, stream_options: { include_usage: true } },
        ...ours({ mode: "parallel", cache: "bypass", stream }),
      });
      let usage: unknown;
      const answers = await collectChoices(
        (async function* () {
          for await (const chunk of chunks) {
            usage ??= chunk.usage;
            yield chunk;
          }
        })(),
        n,
      );
      expect(answers.map(({ text }) => text)).toEqual(texts);
      expect(answers.map(({ finishReason }) => finishReason)).toEqual(
        whole.choices.map(({ finish_reason }) => finish_reason),
      );
      expect(usage).toMatchObject({
        prompt_tokens: whole.usage?.prompt_tokens,
        completion_tokens: whole.usage?.completion_tokens,
      });
      if (stream === "ordered") continue;
      expect(answers.map(({ message }) => message.anabranch)).toEqual(
        whole.choices.map(({ message }) => Reflect.get(message, "anabranch")),
      );
    }
  });

  it("gives equal choices at temperature 0, each stopped and counted separately", async () => {
    const openai = await client("choices");
    const request = {
      ...{ model, temperature: 0, max_tokens: 600, messages: user(parallelPrompt), n: 2 },
      ...{ logprobs: true, stop: ["is the"], ...ours({ mode: "parallel", cache: "bypass" }) },
    };
    const { choices } = await openai.chat.completions.create(request);
    expect(choices[0]).toEqual({ ...choices[1], index: 0 });
    for (const { message, logprobs, finish_reason } of choices) {
      expect(finish_reason).toBe("stop");
      expect(message.content).not.toContain("is the");
      // The stop string may end inside a token, whose log-probability is reported with it.
      const reported = logprobs?.content?.map(({ token }) => token).join("");
      expect(reported?.startsWith(message.content ?? "?")).toBe(true);
    }
    const text = await openai.completions.create({
      ...{ model, temperature: 0, max_tokens: 20, prompt: "One, two, three", n: 2 },
      ...ours({ cache: "bypass" }),
    });
    expect(text.choices[0]).toEqual({ ...text.choices[1], index: 0 });
  });

  it("frees every choice's KV when the client leaves", async () => {
    const openai = await client("leaving");
    const stream = await openai.chat.completions.create({
      ...{ model, max_tokens: 900, messages: user(parallelPrompt), stream: true, n: 4 },
      ...{ logit_bias: endless, ...ours({ mode: "serial" }) },
    });
    for await (const _ of stream) break;
    stream.controller.abort();
    await expect
      .poll(async () => (await cluster.pool())[0]?.kv, { timeout: 10_000, interval: 20 })
      .toSatisfy(({ free, total }) => free === total && total > 0);
  });

  it("hits the prefix cache with an answer's branches if its parts are sent back", async () => {
    const openai = await client("turns");
    const request = { model, temperature: 0, max_tokens: 400, ...ours({ mode: "parallel" }) };
    const ask = (messages: OpenAI.ChatCompletionMessageParam[]) =>
      openai.chat.completions.create({ ...request, messages });
    const first = await ask(user(parallelPrompt));
    const [choice] = first.choices;
    if (!choice) throw new Error("no answer");
    const { message } = choice;
    const { parts } = Reflect.get(message, "anabranch") as { parts: AnswerPart[] };
    expect(textOfParts(parts)).toBe(message.content);
    const next = user("What is 7 + 5?");
    const asText = { role: "assistant" as const, content: message.content };
    const plain = await ask([...user(parallelPrompt), asText, ...next]);
    const structured = await ask([...user(parallelPrompt), message, ...next]);
    // All of the first turn but the last, partly filled block of each segment: a stage's plan and its
    // branches, and the trunk before and after it.
    const { stages, branches } = usageOf(first).anabranch;
    expect(branches).toBeGreaterThanOrEqual(2);
    const segments = 1 + 2 * stages + branches;
    const written = usageOf(first).prompt_tokens + usageOf(first).completion_tokens;
    expect(cachedTokens(structured)).toBeGreaterThan(written - 16 * segments);
    // The trunk before the first stage is all that plain text shares with it.
    const [opening] = parts;
    if (!opening || !("serial" in opening)) throw new Error("the answer begins with a stage");
    const before = usageOf(first).prompt_tokens + opening.serial.length;
    expect(cachedTokens(plain)).toBeLessThanOrEqual(before);
    expect(cachedTokens(plain)).toBeLessThan(cachedTokens(structured));
    expect(usageOf(structured).anabranch).toMatchObject({
      cached_tokens: cachedTokens(structured),
    });

    // And so on: a third turn finds both answers.
    const [second] = structured.choices;
    if (!second) throw new Error("no answer");
    const turns = [...user(parallelPrompt), message, ...next, second.message];
    const third = await ask([...turns, ...user("What is 8 + 5?")]);
    const more = usageOf(structured).anabranch;
    const both = usageOf(structured).prompt_tokens + usageOf(structured).completion_tokens;
    const allSegments = segments + 2 * more.stages + more.branches;
    expect(cachedTokens(third)).toBeGreaterThan(both - 16 * allSegments);

    // The client library gives the same message of a stream.
    const lanes = await collectLanes(
      await openai.chat.completions.create({
        ...{ ...request, messages: user(parallelPrompt), stream: true },
        ...ours({ mode: "parallel", stream: "lanes" }),
      }),
    );
    expect(lanes.message).toEqual({
      ...{ role: "assistant", content: message.content, anabranch: { parts } },
    });
    const other = { ...lanes.message, content: `${message.content}!` };
    await expect(ask([...user(parallelPrompt), other, ...next])).rejects.toMatchObject({
      ...{ status: 400, param: "messages[1].anabranch.parts" },
    });
  });

  it("takes back an answer wherever it was cut off", async () => {
    const openai = await client("turns");
    const request = { model, temperature: 0, ...ours({ mode: "parallel" }) };
    for (let max_tokens = 1; max_tokens < 160; max_tokens += 12) {
      const messages: OpenAI.ChatCompletionMessageParam[] = user(parallelPrompt);
      const first = await openai.chat.completions.create({ ...request, messages, max_tokens });
      const [choice] = first.choices;
      if (!choice) throw new Error("no answer");
      messages.push(choice.message, ...user("Go on."));
      const second = await openai.chat.completions.create({ ...request, messages, max_tokens: 4 });
      expect(cachedTokens(second)).toBeGreaterThan(0);
    }
  });

  it("does not reveal to a tenant that another sent the same prompt", async () => {
    const request = {
      ...{ model, temperature: 0, max_tokens: 8, messages: user(`Once more: ${parallelPrompt}`) },
      ...ours({ mode: "serial", cache: "bypass" }),
    };
    const found: number[] = [];
    for (const tenant of ["kv-a", "kv-a", "kv-b", "kv-b"]) {
      const openai = await client(tenant);
      found.push(cachedTokens(await openai.chat.completions.create(request)));
    }
    expect(found).toEqual([0, found[1], 0, found[1]]);
    expect(found[1]).toBeGreaterThanOrEqual(16);
  });

  it("remembers a deterministic answer for its tenant, and for no other", async () => {
    const request = { model, temperature: 0, max_tokens: 60, messages: user("Describe China.") };
    const states: (string | null)[] = [];
    for (const tenant of ["cache-a", "cache-a", "cache-b"]) {
      const openai = await client(tenant);
      const { response } = await openai.chat.completions.create(request).withResponse();
      states.push(response.headers.get("x-anabranch-cache"));
    }
    expect(states).toEqual(["miss", "hit", "miss"]);
  });

  it("adds usage up to what the client saw", async () => {
    const openai = await client("usage");
    const seen = { requests: 0, prompt_tokens: 0, completion_tokens: 0, steps: 0, branches: 0 };
    for (const mode of ["serial", "parallel", "auto", "parallel"]) {
      const { prompt_tokens, completion_tokens, anabranch } = usageOf(
        await openai.chat.completions.create({
          ...{ model, temperature: 0, max_tokens: 150, messages: user(parallelPrompt) },
          ...ours({ mode }),
        }),
      );
      seen.requests++;
      seen.prompt_tokens += prompt_tokens;
      seen.completion_tokens += completion_tokens;
      seen.steps += anabranch.steps;
      seen.branches += anabranch.branches;
    }
    expect(await cluster.usage(openai.apiKey as string)).toMatchObject(seen);
  });

  it("answers 429 over a key's limit, and says when to come back", async () => {
    const apiKey = await cluster.key("limited", { rpm: 2 });
    const openai = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey, maxRetries: 0 });
    const request = { model, max_tokens: 5, messages: user("Describe China.") };
    await openai.chat.completions.create(request);
    await openai.chat.completions.create(request);
    await expect(openai.chat.completions.create(request)).rejects.toMatchObject({
      status: 429,
      headers: expect.toSatisfy((headers: Headers) => Number(headers.get("retry-after")) > 50),
    });
  });
});

describe("with two workers", () => {
  it("spreads requests over both", async () => {
    const openai = await client("two");
    const request = {
      ...{ model, max_tokens: 200, messages: user(parallelPrompt) },
      ...ours({ cache: "bypass" }),
    };
    await addWorker("second");
    const before = await cluster.answered();
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => openai.chat.completions.create(request)),
    );
    expect(answers.map(({ choices }) => choices.length)).toEqual(Array(6).fill(1));
    const after = await cluster.answered();
    const took = Object.entries(after).map(([id, count]) => [id, count - (before[id] ?? 0)]);
    expect(Object.fromEntries(took)).toEqual({
      first: expect.toSatisfy((count) => count > 0),
      second: expect.toSatisfy((count) => count > 0),
    });
  });

  it("survive the death of one: its answer continues to the same end, and new ones work", async () => {
    const openai = await client("two");
    const request = {
      ...{ model, seed: 11, temperature: 1, max_tokens: 900, messages: user(parallelPrompt) },
      logit_bias: endless,
      ...ours({ mode: "serial", cache: "bypass" }),
    };
    const undisturbed = await openai.chat.completions.create(request);
    // A small model's answer may end before anyone sees who has it: then another one is asked for.
    let killed: ChildProcess | undefined;
    for (let attempt = 0; attempt < 20 && !killed; attempt++) {
      const stream = await openai.chat.completions.create({ ...request, stream: true });
      let text = "";
      let chunks = 0;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        if (++chunks !== 3) continue;
        const [busy = ""] = await cluster.busy();
        killed = workers.get(busy);
        if (!killed) continue;
        killed.kill("SIGKILL");
        await once(killed, "exit");
      }
      expect(text).toBe(undisturbed.choices[0]?.message.content);
    }
    expect(killed).toBeDefined();
    for (let count = 0; count < 4; count++) {
      const answer = await openai.chat.completions.create({ ...request, max_tokens: 20 });
      expect(answer.choices[0]?.message.content).not.toBe("");
    }
  });

  it("continue every choice if its worker is killed", async () => {
    const openai = await client("two");
    const n = 3;
    const request = {
      ...{ model, seed: 12, temperature: 2, max_tokens: 900, messages: user(parallelPrompt), n },
      logit_bias: endless,
      ...ours({ mode: "parallel", cache: "bypass" }),
    };
    const undisturbed = await openai.chat.completions.create(request);
    const stream = await openai.chat.completions.create({
      ...{ ...request, stream: true },
      ...ours({ mode: "parallel", cache: "bypass", stream: "lanes" }),
    });
    let chunks = 0;
    const answers = await collectChoices(
      (async function* () {
        for await (const chunk of stream) {
          yield chunk;
          if (++chunks !== 5) continue;
          // Whoever is left has the answer; the next one comes when it is gone.
          for (const worker of workers.values()) worker.kill("SIGKILL");
          await addWorker("third");
        }
      })(),
      n,
    );
    const texts = answers.map(({ text }) => text);
    expect(texts).toEqual(undisturbed.choices.map(({ message }) => message.content));
    expect(new Set(texts).size).toBe(n);
    expect((await cluster.answered()).third).toBeGreaterThan(0);
  });
});
