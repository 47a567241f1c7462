// Declared branches through the whole system: each is exactly what a request of its own gives.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { bodiesOf, collectLanes } from "@anabranch/shared/lane-answer.ts";
import { type AnswerPart, textUnderTitles } from "@anabranch/shared/parts.ts";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";
import { randomness } from "../test/randomness.ts";

const model = "anabranch-small";
/** 64 blocks of KV, so that branches preempt each other, and fewer running requests than branches. */
const small = ["--model", "models/small", "--threads", "1", "--kv-mib", "2", "--max-running", "14"];

interface DeclaredBranch {
  title: string;
  content: string;
}
type Messages = OpenAI.ChatCompletionMessageParam[];
type Fields = Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>;
type Logprobs = OpenAI.ChatCompletion.Choice["logprobs"];

/** What a branch and a request of its own have in common. */
interface Ended {
  text: string;
  finish: string | undefined;
  logprobs: Logprobs;
}

/** Our field of a message of an answer to declared branches. */
interface Ours {
  parts: AnswerPart[];
  branches: { title: string; finish_reason: string; logprobs: Logprobs }[];
}
const oursOf = (message: object) => Reflect.get(message, "anabranch") as Ours;
const ours = (anabranch: object) => ({ anabranch }) as object;

let cluster: TestCluster;
let openai: OpenAI;
let worker: ChildProcess;
beforeAll(async () => {
  cluster = await openTestCluster();
  worker = await cluster.addWorker("declared", small);
  openai = await clientOf("declared");
}, 120_000);
afterAll(() => cluster.close());

async function clientOf(tenant: string, limits = {}): Promise<OpenAI> {
  const apiKey = await cluster.key(tenant, limits);
  return new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey, maxRetries: 0 });
}

/** One of the worker's own metrics. */
async function metric(name: string): Promise<number> {
  const row = (await cluster.pool()).find(({ id, healthy }) => id === "declared" && healthy);
  const text = await (await fetch(`${row?.url}/metrics`)).text();
  return Number(text.match(new RegExp(`^anabranch_${name}\\{.*\\} (\\d+)$`, "m"))?.[1]);
}

const declare = (messages: Messages, branches: DeclaredBranch[], fields: Fields, options = {}) => ({
  ...{ model, messages, ...fields },
  ...ours({ branches, cache: "bypass", ...options }),
});

/** The branches of a whole answer, in order. */
async function together(...of: Parameters<typeof declare>): Promise<Ended[]> {
  const answer = await openai.chat.completions.create(declare(...of));
  const { message } = answer.choices[0] ?? expect.fail("no choice");
  const { parts, branches } = oursOf(message);
  expect(message.content).toBe(textUnderTitles(parts));
  expect(parts).toHaveLength(1);
  expect(branches.map(({ title }) => title)).toEqual(of[1].map(({ title }) => title));
  const bodies = bodiesOf(message);
  return branches.map(({ title, finish_reason, logprobs }) => {
    return { text: bodies.get(title) ?? expect.fail(title), finish: finish_reason, logprobs };
  });
}

/** Each as a request of its own, one after another. */
async function apart(
  messages: Messages,
  branches: DeclaredBranch[],
  fields: Fields,
): Promise<Ended[]> {
  const out: Ended[] = [];
  for (const { content } of branches) {
    const answer = await openai.chat.completions.create({
      ...{ model, messages: [...messages, { role: "user", content }], ...fields },
      ...ours({ mode: "serial", cache: "bypass" }),
    });
    const [choice] = answer.choices;
    const { message, finish_reason: finish, logprobs } = choice ?? expect.fail("no choice");
    out.push({ text: message.content ?? "", finish, logprobs });
  }
  return out;
}

const words = readFileSync(new URL("../../docs/design.md", import.meta.url), "utf8").split(/\s+/);

interface Case {
  messages: Messages;
  branches: DeclaredBranch[];
  fields: Fields;
}

/** Messages, branches and parameters of any kind that a client may send. */
function randomCase(seed: number): Case {
  const below = randomness(seed);
  const some = (most: number) => {
    const from = below(words.length - most);
    return words.slice(from, from + 1 + below(most)).join(" ");
  };
  const messages: Messages = [{ role: "system", content: some(60) }];
  if (below(2) === 0) {
    messages.push({ role: "user", content: some(30) }, { role: "assistant", content: some(10) });
  }
  const branches = Array.from({ length: 2 + below(7) }, (_, index) => ({
    title: `${index}. ${some(3)}`,
    // Some turns begin alike, and one may be the beginning of another.
    content: below(3) === 0 ? words.slice(0, 1 + index).join(" ") : some(20),
  }));
  const fields: Fields = { max_tokens: 1 + below(70), logprobs: true, top_logprobs: below(3) };
  if (below(3) === 0) fields.temperature = 0;
  else Object.assign(fields, { temperature: 0.5 + below(3) / 2, seed: below(1_000) });
  if (below(3) === 0) fields.presence_penalty = 0.7;
  if (below(3) === 0) fields.top_p = 0.8;
  if (below(2) === 0) fields.stop = [["e", "th", "\n", ". "][below(4)] ?? "", "is a"];
  return { messages, branches, fields };
}

describe("declared branches", () => {
  it("are what requests of their own give, bit for bit, in company and after preemption", async () => {
    const before = await metric("preemptions_total");
    const finishes = new Set<string | undefined>();
    for (let seed = 1; seed <= 12; seed++) {
      const { messages, branches, fields } = randomCase(seed);
      const alone = await apart(messages, branches, fields);
      // Another answer decodes beside it: its branches share nothing and take all KV.
      const other = randomCase(1_000 + seed);
      const hungry = Array.from({ length: 8 }, (_, index) => ({
        title: `${index}`,
        content: `${index} ${words.slice(0, 60).join(" ")}`,
      }));
      const company = together(other.messages, hungry, { ...other.fields, max_tokens: 160 });
      expect(await together(messages, branches, fields), `seed ${seed}`).toEqual(alone);
      await company;
      for (const { finish } of alone) finishes.add(finish);
    }
    expect(finishes).toEqual(new Set(["stop", "length"]));
    expect(await metric("preemptions_total")).toBeGreaterThan(before);
  }, 120_000);

  it("read the same whole, ordered and in lanes, and share one cache entry", async () => {
    const { messages, branches, fields } = randomCase(21);
    const request = {
      ...declare(messages, branches, { ...fields, temperature: 1, seed: 3, max_tokens: 40 }),
      ...ours({ branches }),
    };
    const first = await openai.chat.completions.create(request).withResponse();
    expect(first.response.headers.get("x-anabranch-cache")).toBe("miss");
    const { message } = first.data.choices[0] ?? expect.fail("no choice");
    const stream_options = { include_usage: true };
    const ordered = await openai.chat.completions
      .create({ ...request, stream: true, stream_options })
      .withResponse();
    expect(ordered.response.headers.get("x-anabranch-cache")).toBe("hit");
    let text = "";
    let usage: unknown;
    for await (const chunk of ordered.data) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage ??= chunk.usage;
    }
    expect(text).toBe(message.content);
    expect(usage).toEqual(first.data.usage);
    for (const cache of ["use", "bypass"]) {
      const lanes = await collectLanes(
        await openai.chat.completions.create({
          ...{ ...request, stream: true },
          ...ours({ branches, cache, stream: "lanes" }),
        }),
      );
      expect(lanes.text).toBe(text);
      expect(lanes.message.anabranch.parts).toEqual(oursOf(message).parts);
      expect([...lanes.branches.keys()]).toEqual(branches.map(({ title }) => title));
      for (const [title, branch] of lanes.branches) {
        expect(branch.text).toBe(bodiesOf(message).get(title));
      }
    }
    // As history it is plain text.
    const next = await openai.chat.completions.create({
      ...{ model, max_tokens: 4, temperature: 0 },
      messages: [...messages, { role: "user", content: "?" }, message, ...messages],
    });
    expect(next.choices).toHaveLength(1);
  });

  it("count the shared messages once, and compute them once", async () => {
    const messages: Messages = [{ role: "system", content: words.slice(0, 60).join(" ") }];
    const branches = ["one", "two", "three", "four"].map((title) => ({ title, content: title }));
    const fields = { temperature: 0, max_tokens: 5 };
    const answer = () => openai.chat.completions.create(declare(messages, branches, fields));
    const prompts: number[] = [];
    let completions = 0;
    const prefilled = await metric("prefill_tokens_total");
    const { usage } = await answer();
    const computed = (await metric("prefill_tokens_total")) - prefilled;
    const again = await answer();
    for (const { content } of branches) {
      const { usage: own } = await openai.chat.completions.create({
        ...{ model, ...fields, messages: [...messages, { role: "user" as const, content }] },
        ...ours({ cache: "bypass" }),
      });
      prompts.push(own?.prompt_tokens ?? Number.NaN);
      completions += own?.completion_tokens ?? Number.NaN;
    }
    const total = prompts.reduce((sum, each) => sum + each, 0);
    const prompt = usage?.prompt_tokens ?? Number.NaN;
    // Four prompts of which three quarters of the shared part are not counted.
    const shared = (total - prompt) / 3;
    expect(Number.isInteger(shared)).toBe(true);
    expect(shared).toBeGreaterThan(Math.min(...prompts) / 2);
    expect(usage?.completion_tokens).toBe(completions);
    expect(Reflect.get(usage ?? {}, "anabranch")).toMatchObject({ stages: 1, branches: 4 });
    // The last block of the shared part is full for nobody.
    expect(computed).toBeLessThanOrEqual(prompt + 3 * 15);
    const cached = (of: typeof usage) => of?.prompt_tokens_details?.cached_tokens;
    expect(cached(usage)).toBe(0);
    expect(cached(again.usage)).toBeGreaterThanOrEqual(shared - 15);
  });

  it("reserve max_tokens each, and settle for what they used", async () => {
    const messages: Messages = [{ role: "system", content: "Be short." }];
    const branches = ["A", "B", "C", "D"].map((title) => ({ title, content: title }));
    const limited = await clientOf("declared-limits", { tpm: 2_000 });
    const ask = (max_tokens: number) =>
      limited.chat.completions.create(declare(messages, branches, { max_tokens, temperature: 0 }));
    await expect(ask(500)).rejects.toMatchObject({ status: 429 });
    const { usage } = await ask(10);
    expect(await cluster.usage(limited.apiKey as string)).toMatchObject({
      ...{ requests: 1, branches: 4, prompt_tokens: usage?.prompt_tokens },
      completion_tokens: usage?.completion_tokens,
    });
  });

  it("are refused by the name of the branch, before anything runs", async () => {
    const messages: Messages = [{ role: "system", content: "Be short." }];
    const before = await metric("prompt_tokens_total");
    const branch = (title: string, content = title) => ({ title, content });
    const tooLong = [branch("a"), branch("b", words.slice(0, 900).join(" ")), branch("c")];
    const faults: [object, string][] = [
      [{ branches: tooLong }, "anabranch.branches[1]"],
      [{ branches: [branch("a"), branch("b", "x".repeat(70_000))] }, "anabranch.branches[1]"],
      [{ branches: [branch("a"), branch("a", "b")] }, "anabranch.branches[1].title"],
      [{ branches: [branch("a"), branch("two\nlines")] }, "anabranch.branches[1].title"],
      [{ branches: [branch("a")] }, "anabranch.branches"],
      [{ branches: [branch("a"), branch("b")], mode: "parallel" }, "anabranch.mode"],
      [{ branches: [branch("a"), branch("b")], max_branches: 2 }, "anabranch.max_branches"],
    ];
    for (const [options, param] of faults) {
      const request = { model, messages, max_tokens: 5, ...ours(options) };
      await expect(openai.chat.completions.create(request)).rejects.toMatchObject({
        ...{ status: 400, param },
      });
    }
    const two = { branches: [branch("a"), branch("b")] };
    await expect(
      openai.chat.completions.create({ model, messages, n: 2, ...ours(two) }),
    ).rejects.toMatchObject({ status: 400, param: "n" });
    await expect(
      openai.completions.create({ model, prompt: "One", ...ours(two) }),
    ).rejects.toMatchObject({ status: 400, param: "anabranch.branches" });
    expect(await metric("prompt_tokens_total")).toBe(before);
  });

  it("stop when the client leaves", async () => {
    const branches = Array.from({ length: 16 }, (_, i) => ({ title: `${i}`, content: `${i}?` }));
    const stream = await openai.chat.completions.create({
      ...declare([{ role: "system", content: "Go on." }], branches, { max_tokens: 600 }),
      ...{ stream: true, logit_bias: { 2: -100 } },
    });
    for await (const _ of stream) break;
    stream.controller.abort();
    await expect
      .poll(async () => (await cluster.pool())[0]?.kv, { timeout: 10_000, interval: 20 })
      .toSatisfy(({ free, total }) => free === total && total > 0);
  });
});

describe("when something dies", () => {
  const { messages } = randomCase(31);
  const branches = Array.from({ length: 6 }, (_, i) => ({
    ...{ title: `T${i}`, content: words.slice(i, i + 9).join(" ") },
  }));
  // Nothing ends by itself, but for a stop string in some branches.
  const fields: Fields = {
    ...{ temperature: 1, seed: 5, max_tokens: 200, stop: ["ou"], logit_bias: { 2: -100 } },
  };

  /** Reads the lanes and calls `kill` once, when most branches have some text. */
  async function interrupted(logprobs: boolean, kill: () => Promise<void>) {
    const stream = await openai.chat.completions.create({
      ...declare(messages, branches, { ...fields, logprobs }, { stream: "lanes" }),
      stream: true,
    });
    const begun = new Set<unknown>();
    let killed = false;
    const answer = await collectLanes(
      (async function* () {
        for await (const chunk of stream) {
          yield chunk;
          if (chunk.choices[0]?.delta.content) begun.add(Reflect.get(chunk, "anabranch")?.lane);
          if (killed || begun.size <= branches.length / 2) continue;
          killed = true;
          await kill();
        }
      })(),
    );
    expect(killed).toBe(true);
    return [...answer.branches.values()].map(({ text }) => text);
  }

  it("every branch goes on where it was: the engine", async () => {
    const alone = (await apart(messages, branches, fields)).map(({ text }) => text);
    const kill = async () => {
      const { pid } = worker;
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
      process.kill(Number(children.trim().split(" ")[0]), "SIGKILL");
    };
    expect(await interrupted(false, kill)).toEqual(alone);
    expect(await interrupted(true, kill)).toEqual(alone);
  }, 120_000);

  it("every branch goes on where it was: the worker", async () => {
    const alone = (await apart(messages, branches, fields)).map(({ text }) => text);
    const kill = async () => {
      await cluster.addWorker("spare", small);
      worker.kill("SIGKILL");
      await once(worker, "exit");
    };
    expect(await interrupted(false, kill)).toEqual(alone);
  }, 120_000);
});
