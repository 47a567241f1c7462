// Plain completions as evaluation tools use them: several prompts, and the log-probabilities of the prompts' own tokens.
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";

const model = "anabranch-small";
let cluster: TestCluster;
let apiKey = "";
let openai: OpenAI;
beforeAll(async () => {
  cluster = await openTestCluster();
  await cluster.addWorker("echo");
  apiKey = await cluster.key("echo");
  openai = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey, maxRetries: 0 });
}, 120_000);
afterAll(() => cluster.close());

type Fields = Partial<OpenAI.CompletionCreateParamsNonStreaming> & Record<string, unknown>;

const complete = (
  prompt: NonNullable<OpenAI.CompletionCreateParams["prompt"]>,
  fields: Fields,
): Promise<OpenAI.Completion> =>
  openai.completions.create({ model, temperature: 0, prompt, ...fields });
const logprobsOf = ({ logprobs }: OpenAI.CompletionChoice) => ({
  tokens: logprobs?.tokens ?? [],
  values: (logprobs?.token_logprobs ?? []) as (number | null)[],
  top: (logprobs?.top_logprobs ?? []) as (Record<string, number> | null)[],
  offsets: logprobs?.text_offset ?? [],
});

async function tokensOf(prompt: string): Promise<number[]> {
  const response = await fetch(`${cluster.url}/v1/tokenize`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ model, prompt }),
  });
  return ((await response.json()) as { tokens: number[] }).tokens;
}

const prompt = "Compare Norway and Peru. Norway lies in the north,";

describe("an echoed prompt", () => {
  it("has the log-probabilities that decoding the same tokens gave", async () => {
    const decoded = (await complete(prompt, { max_tokens: 12, logprobs: 5 })).choices[0];
    if (!decoded) throw new Error("no choice");
    const answer = logprobsOf(decoded);
    const before = await tokensOf(prompt);
    const text = prompt + decoded.text;
    // The whole text as ids, so that it is cut as the model wrote it.
    const all = await tokensOf(text);
    expect(all.slice(0, before.length)).toEqual(before);
    const { choices, usage } = await complete(text, { max_tokens: 0, echo: true, logprobs: 5 });
    const [choice] = choices;
    if (!choice) throw new Error("no choice");
    const echoed = logprobsOf(choice);
    expect(choice).toMatchObject({ text, finish_reason: "length" });
    expect(echoed.tokens.join("")).toBe(text);
    expect(echoed.values).toHaveLength(all.length);
    expect([echoed.values[0], echoed.top[0]]).toEqual([null, null]);
    expect(echoed.offsets[1]).toBe(echoed.tokens[0]?.length);
    expect(echoed.tokens.slice(before.length)).toEqual(answer.tokens);
    expect(echoed.values.slice(before.length)).toEqual(answer.values);
    for (const [index, top] of answer.top.entries()) {
      const again = echoed.top[before.length + index] ?? {};
      expect(Object.keys(again)).toEqual(Object.keys(top ?? {}));
      for (const [token, value] of Object.entries(top ?? {})) {
        expect(again[token]).toBeCloseTo(value, 5);
      }
    }
    // Each was the likeliest.
    for (const index of answer.values.keys()) {
      const at = before.length + index;
      expect(Math.max(...Object.values(echoed.top[at] ?? {}))).toBe(echoed.values[at]);
    }
    expect(usage).toMatchObject({ prompt_tokens: all.length, completion_tokens: 0 });
  });

  it("comes before what is decoded, in a stream too", async () => {
    const fields = { max_tokens: 3, echo: true, logprobs: 1 };
    const plain = await complete(prompt, { max_tokens: 3, logprobs: 1 });
    const whole = await complete(prompt, fields);
    const [choice] = whole.choices;
    if (!choice || !plain.choices[0]) throw new Error("no choice");
    expect(choice.text).toBe(prompt + plain.choices[0].text);
    const { tokens, values } = logprobsOf(choice);
    expect(values.slice(-3)).toEqual(logprobsOf(plain.choices[0]).values);
    expect(whole.usage).toEqual({
      ...plain.usage,
      prompt_tokens_details: whole.usage?.prompt_tokens_details,
      anabranch: expect.anything(),
    });
    const stream = await openai.completions.create({
      ...{ model, prompt, temperature: 0, stream: true, ...fields },
      ...{ anabranch: { cache: "bypass" } },
    } as OpenAI.CompletionCreateParamsStreaming);
    const chunks: OpenAI.CompletionChoice[] = [];
    for await (const chunk of stream) chunks.push(...chunk.choices);
    expect(chunks[0]?.text).toBe(prompt);
    expect(chunks.map(({ text }) => text).join("")).toBe(choice.text);
    expect(chunks.flatMap((each) => each.logprobs?.tokens ?? [])).toEqual(tokens);
    expect(chunks.flatMap((each) => each.logprobs?.token_logprobs ?? [])).toEqual(values);
  });

  it("needs no log-probabilities", async () => {
    const ids = await tokensOf(prompt);
    const { choices, usage } = await complete(ids, { max_tokens: 2, echo: true });
    expect(choices[0]?.text.startsWith(prompt)).toBe(true);
    expect(choices[0]?.logprobs).toBeNull();
    expect(usage).toMatchObject({ prompt_tokens: ids.length, completion_tokens: 2 });
    const alone = await complete(ids, { max_tokens: 0, echo: true });
    expect(alone.choices[0]).toMatchObject({ text: prompt, logprobs: null });
  });

  it("has an entry for the token that ended the answer", async () => {
    const ids = await tokensOf(prompt);
    // Whatever comes next ends it.
    const next = await complete(ids, { max_tokens: 1, logprobs: 1 });
    const [word = ""] = next.choices[0]?.logprobs?.tokens ?? [];
    const [end] = await tokensOf(word);
    const { choices } = await complete(ids, {
      ...{ max_tokens: 1, echo: true, logprobs: 1, stop_token_ids: [end] },
    });
    const [choice] = choices;
    if (!choice) throw new Error("no choice");
    expect(choice).toMatchObject({ text: prompt, finish_reason: "stop" });
    const { values } = logprobsOf(choice);
    expect(values).toHaveLength(ids.length + 1);
    expect(values.at(-1)).toBe(next.choices[0]?.logprobs?.token_logprobs?.[0]);
  });

  it("is refused where it is too long, or has a token that the model has not", async () => {
    const long = Array.from({ length: 20_000 }, () => 100);
    const error = (given: unknown[]) =>
      complete(given as number[], { max_tokens: 0, echo: true, logprobs: 1 }).catch((e) => e);
    expect(await error(long)).toMatchObject({ status: 400, code: "context_length_exceeded" });
    expect(await error([1, 4_000_000_000])).toMatchObject({ status: 400, param: "prompt" });
  });
});

it("a client that leaves ends the pass over its prompt", async () => {
  const file = "models/demo/SmolLM2-135M-Instruct-Q4_1.gguf";
  await cluster.addWorker("demo", ["--model", file, "--model-id", "demo", "--threads", "1"]);
  const metrics = async () => {
    const row = (await cluster.pool()).find(({ id }) => id === "demo");
    const text = await (await fetch(`${row?.url}/metrics`)).text();
    const metricOf = (name: string) =>
      Number(new RegExp(`^anabranch_${name}(?:\\{.*\\})? (\\d+)$`, "m").exec(text)?.[1]);
    return {
      computed: metricOf("prefill_tokens_total"),
      free: metricOf("kv_blocks_free"),
      total: metricOf("kv_blocks"),
    };
  };
  const left = new AbortController();
  const ids = Array.from({ length: 1_500 }, (_, index) => 300 + index);
  const body = { model: "demo", prompt: ids, max_tokens: 0, echo: true, logprobs: 5 };
  const asked = openai.completions.create(body, { signal: left.signal });
  const ended = expect(asked).rejects.toThrow(OpenAI.APIUserAbortError);
  const begun = async () => (await metrics()).computed;
  await expect.poll(begun, { interval: 5, timeout: 60_000 }).toBeGreaterThan(0);
  left.abort();
  await ended;
  await expect.poll(() => cluster.inEngines(), { timeout: 20_000 }).toBe(0);
  const { computed, free, total } = await metrics();
  expect(computed).toBeLessThan(ids.length);
  expect(free).toBe(total);
});

it("lm-evaluation-harness reads the log-probabilities of the continuations", async () => {
  const contexts = [prompt, "Oslo is the capital of", "One two three"];
  const continuations = [" so it is cold.", " Norway", " four five six seven"];
  const pairs = await Promise.all(
    contexts.map(async (context, index) => {
      const before = await tokensOf(context);
      return { before, after: await tokensOf(continuations[index] ?? "") };
    }),
  );
  const inputs = pairs.map(({ before, after }) => [...before, ...after]);
  const { choices } = await complete(inputs, {
    max_tokens: 1,
    logprobs: 1,
    seed: 1234,
    echo: true,
  });
  for (const { index, logprobs } of choices) {
    const { before = [], after = [] } = pairs[index] ?? {};
    const values = (logprobs?.token_logprobs ?? []).slice(before.length, -1);
    const top = (logprobs?.top_logprobs ?? []).slice(before.length, -1);
    expect(values).toHaveLength(after.length);
    // One token at a time, as what comes next.
    for (const [at, id] of after.entries()) {
      const next = await complete([...before, ...after.slice(0, at)], {
        ...{ max_tokens: 1, logprobs: 1, logit_bias: { [id]: 100 } },
      });
      expect(values[at]).toBe(next.choices[0]?.logprobs?.token_logprobs?.[0]);
      const [likeliest = {}] = next.choices[0]?.logprobs?.top_logprobs ?? [];
      expect(Math.max(...Object.values(top[at] ?? {}))).toBeCloseTo(
        Math.max(...Object.values(likeliest)),
        5,
      );
    }
  }
});

describe("several prompts", () => {
  const prompts = Array.from({ length: 40 }, (_, index) => `${prompt} number ${index} `);

  it("are answered as requests of their own, in order", async () => {
    const fields = { max_tokens: 6, logprobs: 1 };
    const { choices, usage } = await complete(prompts, fields);
    expect(choices.map(({ index }) => index)).toEqual([...prompts.keys()]);
    let promptTokens = 0;
    let completionTokens = 0;
    for (const index of [0, 1, 17, 39]) {
      const one = await complete(prompts[index] ?? "", fields);
      expect(choices[index]).toEqual({ ...one.choices[0], index });
    }
    for (const each of prompts) promptTokens += (await tokensOf(each)).length;
    completionTokens = choices.reduce(
      (sum, { logprobs }) => sum + (logprobs?.tokens?.length ?? 0),
      0,
    );
    expect(usage?.prompt_tokens).toBe(promptTokens);
    expect(usage?.completion_tokens).toBeGreaterThanOrEqual(completionTokens);
  });

  it("have n choices each, sampled as alone", async () => {
    const given = prompts.slice(0, 3);
    const ids = await Promise.all(given.map(tokensOf));
    const fields = { n: 2, best_of: 2, seed: 7, temperature: 1, max_tokens: 5 };
    const { choices, usage } = await complete(ids, fields);
    expect(choices).toHaveLength(6);
    const second = await complete(ids[1] ?? [], fields);
    expect(choices.slice(2, 4).map(({ text }) => text)).toEqual(
      second.choices.map(({ text }) => text),
    );
    expect(usage?.prompt_tokens).toBe(ids.flat().length);
  });

  it("are counted as one request, and their tokens", async () => {
    const key = await cluster.key("counting");
    const client = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey: key, maxRetries: 0 });
    const given = prompts.slice(0, 5);
    const { usage } = await client.completions.create({
      ...{ model, prompt: given, max_tokens: 1, echo: true, logprobs: 1, temperature: 0 },
    });
    await expect
      .poll(() => cluster.usage(key))
      .toMatchObject({
        requests: 1,
        prompt_tokens: usage?.prompt_tokens,
        completion_tokens: usage?.completion_tokens,
      });
    expect(usage?.prompt_tokens).toBeGreaterThan(5 * 10);
  });

  it("are kept and given again as one answer", async () => {
    const ask = () =>
      openai.completions
        .create({ model, prompt: prompts.slice(3, 6), max_tokens: 3, temperature: 0, echo: true })
        .withResponse();
    const first = await ask();
    await expect
      .poll(async () => (await ask()).response.headers.get("x-anabranch-cache"))
      .toBe("hit");
    expect((await ask()).data).toEqual({
      ...first.data,
      created: expect.any(Number),
      id: expect.any(String),
    });
  });

  it("survive the death of a worker", async () => {
    const fields = {
      ...{ max_tokens: 300, logprobs: 1, echo: true, ignore_eos: true },
      anabranch: { cache: "bypass" },
    };
    const given = prompts.slice(0, 24);
    const calm = await complete(given, fields);
    const worker = await cluster.addWorker("mortal");
    const answer = complete(given, fields);
    await expect.poll(() => cluster.busy(), { interval: 5 }).toContain("mortal");
    worker.kill("SIGKILL");
    expect((await answer).choices).toEqual(calm.choices);
  });

  it("fail together, with the fault of one", async () => {
    const wrong = [[1, 2], ...Array.from({ length: 20 }, () => [3]), [4_000_000_000]];
    const error = await complete(wrong, { max_tokens: 4 }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ status: 400, param: "prompt[21]" });
  });

  it("stop with the client", async () => {
    const left = new AbortController();
    const stream = await openai.completions.create(
      {
        ...{ model, prompt: prompts, max_tokens: 1_000, stream: true },
        ...{ ignore_eos: true, temperature: 1 },
      } as OpenAI.CompletionCreateParamsStreaming,
      { signal: left.signal },
    );
    for await (const _ of stream) break;
    left.abort();
    await expect.poll(() => cluster.busy(), { timeout: 20_000 }).toEqual([]);
    const { choices } = await complete(prompt, { max_tokens: 1 });
    expect(choices).toHaveLength(1);
  });
});

it("an answer that a stop string ends counts the tokens that it takes, whenever the engine hears of it", async () => {
  const free = await complete(prompt, { max_tokens: 12, logprobs: 0 });
  const tokens = free.choices[0]?.logprobs?.tokens ?? [];
  const stop = tokens.slice(3, 5).join("");
  const needed =
    tokens.findIndex((_, at) =>
      tokens
        .slice(0, at + 1)
        .join("")
        .includes(stop),
    ) + 1;
  const fields = { max_tokens: 60, stop, anabranch: { cache: "bypass" } };
  for (let run = 0; run < 4; run++) {
    const { usage, choices } = await complete(prompt, fields);
    expect(choices[0]?.finish_reason).toBe("stop");
    expect(usage?.completion_tokens).toBe(needed);
  }
});

describe("min_tokens", () => {
  const ids = () => tokensOf(prompt);

  it("keeps an answer from ending, and changes nothing else", async () => {
    const free = await complete(await ids(), { max_tokens: 12, logprobs: 2 });
    const tokens = free.choices[0]?.logprobs?.tokens ?? [];
    // The token that the answer is to end with, unless it may not.
    const [end] = await tokensOf(tokens[2] ?? "");
    const fields = { max_tokens: 12, logprobs: 2, stop_token_ids: [end] };
    const short = await complete(await ids(), fields);
    expect(short.choices[0]?.finish_reason).toBe("stop");
    expect(short.usage?.completion_tokens).toBeLessThanOrEqual(3);
    const long = await complete(await ids(), { ...fields, min_tokens: 8 });
    expect(long.usage?.completion_tokens).toBeGreaterThanOrEqual(8);
    const written = long.choices[0]?.logprobs?.tokens ?? [];
    expect(written.slice(0, 2)).toEqual(tokens.slice(0, 2));
    expect(written.slice(0, 8)).not.toContain(tokens[2]);
    // Without a token that ends it, it is the free answer.
    const same = await complete(await ids(), { max_tokens: 12, logprobs: 2, min_tokens: 5 });
    expect(same.choices).toEqual(free.choices);
    expect(same.usage).toMatchObject({
      completion_tokens: free.usage?.completion_tokens,
      total_tokens: free.usage?.total_tokens,
    });
  });

  it("holds in chats, streams and sampled answers", async () => {
    const chat = {
      ...{ model, max_tokens: 40, min_tokens: 30, seed: 5, temperature: 1 },
      messages: [{ role: "user" as const, content: "Say yes." }],
    };
    const whole = await openai.chat.completions.create(chat);
    expect(whole.usage?.completion_tokens).toBeGreaterThanOrEqual(30);
    const stream = await openai.chat.completions.create({
      ...{ ...chat, stream: true as const, stream_options: { include_usage: true } },
      ...{ anabranch: { cache: "bypass" } },
    });
    let text = "";
    let tokens = 0;
    for await (const { choices, usage } of stream) {
      text += choices[0]?.delta.content ?? "";
      tokens = usage?.completion_tokens ?? tokens;
    }
    expect(text).toBe(whole.choices[0]?.message.content);
    expect(tokens).toBe(whole.usage?.completion_tokens);
  });

  it("leaves stop strings as they are", async () => {
    const free = await complete(prompt, { max_tokens: 12 });
    const stop = free.choices[0]?.text.slice(2, 5) ?? "";
    const { choices } = await complete(prompt, { max_tokens: 12, min_tokens: 10, stop });
    expect(choices[0]?.finish_reason).toBe("stop");
    expect(free.choices[0]?.text.startsWith(choices[0]?.text ?? "?")).toBe(true);
    // In the last token before it may end, too: nothing is decoded after that.
    const fields = { max_tokens: 900, stop, anabranch: { cache: "bypass" } };
    for (const least of [1, 2, 3, 4, 5, 6]) {
      const answer = await complete(prompt, { ...fields, min_tokens: least });
      expect(answer.choices).toEqual(choices);
      expect(answer.usage?.completion_tokens).toBeLessThan(8);
    }
  });
});
