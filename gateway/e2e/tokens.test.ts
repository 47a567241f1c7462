// Tokens of prompts and their texts, and the fields of a chat that only a worker understands.
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";
import { knownTemplate, TemplateModels } from "./model-with-template.ts";

const model = "anabranch-small";
const models = new TemplateModels();
let cluster: TestCluster;
let openai: OpenAI;
let apiKey = "";
beforeAll(async () => {
  cluster = await openTestCluster();
  await cluster.addWorker("small", ["--model", "models/small", "--threads", "1"]);
  const thinker = `${knownTemplate("qwen2.5.jinja")}{% if enable_thinking %}<think>\n{% else %}<think>\n\n</think>\n\n{% endif %}`;
  const folder = models.make("thinker", thinker);
  await cluster.addWorker("thinker", [
    "--model",
    folder,
    "--model-id",
    "thinker",
    "--threads",
    "1",
  ]);
  await cluster.addWorker("unended", [
    ...["--model", models.unended("unended"), "--model-id", "unended", "--threads", "1"],
  ]);
  apiKey = await cluster.key("tokens");
  openai = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey, maxRetries: 0 });
}, 180_000);
afterAll(async () => {
  await cluster.close();
  models.remove();
});

interface Tokens {
  count: number;
  max_model_len: number;
  tokens: number[];
  token_strs: string[] | null;
}

async function post<T>(path: string, body: object, status = 200): Promise<T> {
  const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
  const init = { method: "POST", headers, body: JSON.stringify({ model, ...body }) };
  const response = await fetch(`${cluster.url}/v1/${path}`, init);
  expect(response.status).toBe(status);
  return (await response.json()) as T;
}

const messages = [{ role: "user" as const, content: "Compare Norway and Peru." }];
const ask = (fields: object) =>
  openai.chat.completions.create({
    ...{ model, messages, max_tokens: 30, temperature: 0, logprobs: true },
    ...fields,
  });
const idsOf = async ({ choices }: OpenAI.ChatCompletion) => {
  const text = choices[0]?.message.content ?? "";
  return (await post<Tokens>("tokenize", { prompt: text, add_special_tokens: false })).tokens;
};

describe("tokens", () => {
  it("of a text become the text again", async () => {
    const prompt = "Grüße, <|im_end|> 日本 🙂";
    const { count, tokens, token_strs, max_model_len } = await post<Tokens>("tokenize", {
      ...{ prompt, return_token_strs: true },
    });
    expect(count).toBe(tokens.length);
    expect(token_strs).toHaveLength(count);
    expect(max_model_len).toBeGreaterThan(count);
    expect(await post("detokenize", { tokens })).toEqual({ prompt });
  });

  it("of a chat are those that its answer counts", async () => {
    const { count, tokens } = await post<Tokens>("tokenize", { messages });
    const { usage } = await ask({ max_tokens: 1 });
    expect(usage?.prompt_tokens).toBe(count);
    const fields = { messages, add_generation_prompt: false };
    const { tokens: bare } = await post<Tokens>("tokenize", fields);
    expect(bare.length).toBeLessThan(count);
    expect(tokens.slice(0, bare.length)).toEqual(bare);
  });

  it("of declared branches are those that they begin with once, and the rest of each", async () => {
    const branches = ["Oslo", "Lima", "Rome"].map((title) => ({
      title,
      content: `Where is ${title}?`,
    }));
    const asked = { anabranch: { branches } };
    const { count, tokens } = await post<Tokens>("tokenize", { messages, ...asked });
    const { usage } = await ask({ max_tokens: 1, ...asked });
    expect(usage?.prompt_tokens).toBe(count);
    const single = await Promise.all(
      branches.map(({ content }) =>
        post<Tokens>("tokenize", { messages: [...messages, { role: "user", content }] }),
      ),
    );
    const shared = tokens.findIndex((id, i) => single.some((one) => one.tokens[i] !== id));
    expect(tokens).toEqual([
      ...tokens.slice(0, shared),
      ...single.flatMap((one) => one.tokens.slice(shared)),
    ]);
    const first = { branches: [{ title: "A", content: "" }, { title: "B" }] };
    expect(await post("tokenize", { messages, anabranch: first }, 400)).toMatchObject({
      error: { param: "anabranch.branches[1].content" },
    });
  });

  it("of a chat whose tools may not be called are without them", async () => {
    const tools = [{ type: "function" as const, function: { name: "clock" } }];
    const { count } = await post<Tokens>("tokenize", { messages });
    expect(await post("tokenize", { messages, tools, tool_choice: "none" })).toMatchObject({
      count,
    });
  });

  it("that the model does not have are refused by the field that names them", async () => {
    const unknown = 4_000_000;
    const cases: [string, string, object][] = [
      ["prompt", "completions", { prompt: [1, unknown] }],
      ["prompt[1]", "completions", { prompt: [[1], [1, unknown]], max_tokens: 1 }],
      ["stop_token_ids", "chat/completions", { messages, stop_token_ids: [unknown] }],
      ["logit_bias", "chat/completions", { messages, logit_bias: { [unknown]: 1 } }],
      [
        "stop_token_ids",
        "chat/completions",
        {
          ...{ messages, stop_token_ids: [unknown] },
          anabranch: { branches: ["A", "B"].map((title) => ({ title, content: "?" })) },
        },
      ],
    ];
    for (const [param, path, fields] of cases) {
      const message = expect.stringMatching(/: the model has no token 4000000/);
      expect(await post(path, fields, 400)).toMatchObject({ error: { param, message } });
    }
  });

  it("that don't exist are refused, and so is a prompt of two kinds", async () => {
    expect(await post("detokenize", { tokens: [4_000_000] }, 400)).toMatchObject({
      error: { param: "tokens" },
    });
    const tokens = Array.from({ length: 200_000 }, () => 1);
    expect(await post("detokenize", { tokens }, 400)).toMatchObject({
      error: { param: "tokens", code: "context_length_exceeded" },
    });
    expect(await post("tokenize", { prompt: "a", messages }, 400)).toMatchObject({
      error: { param: "messages" },
    });
    expect(await post("tokenize", {}, 400)).toMatchObject({ error: { param: "prompt" } });
  });
});

describe("a chat", () => {
  it("ends at a stop token, and not at the model's own where it shall go on", async () => {
    const whole = await ask({});
    const ids = await idsOf(whole);
    const stop = ids[4] ?? expect.fail("the answer is too short");
    const cut = await ask({ stop_token_ids: [stop] });
    expect(cut.choices[0]?.finish_reason).toBe("stop");
    expect(whole.choices[0]?.message.content).toContain(cut.choices[0]?.message.content ?? "?");
    expect(await idsOf(cut)).toEqual(ids.slice(0, ids.indexOf(stop)));
    const on = await ask({ max_tokens: 300, ignore_eos: true, anabranch: { mode: "serial" } });
    expect(on.usage?.completion_tokens).toBe(300);
    const unknown = await ask({ stop_token_ids: [4_000_000] }).catch((error: unknown) => error);
    expect(unknown).toMatchObject({ status: 400, message: expect.stringContaining("4000000") });
  });

  it("has seeds of 64 bits, read exactly", async () => {
    const text = async (seed: string) => {
      const prompt = "zq 7 xw";
      const body = JSON.stringify({ model, prompt, max_tokens: 40, temperature: 2, seed: "SEED" });
      const response = await fetch(`${cluster.url}/v1/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${apiKey}` },
        body: body.replace('"SEED"', seed),
      });
      const { choices, error } = (await response.json()) as OpenAI.Completion & {
        error?: { param: string };
      };
      return error?.param ?? choices[0]?.text;
    };
    const largest = await text("9223372036854775807");
    expect(await text("9223372036854775807")).toBe(largest);
    expect(await text("9223372036854775806")).not.toBe(largest);
    expect(await text("9223372036854775808")).toBe("seed");
  });

  it("thinks in a field of its own, if its template is told to", async () => {
    const thinking = (enable_thinking: boolean) => ({
      ...{ model: "thinker", chat_template_kwargs: { enable_thinking } },
    });
    const told = await ask(thinking(true));
    const [choice] = told.choices;
    expect(choice?.message).toMatchObject({ content: "", reasoning_content: expect.any(String) });
    const stream = openai.chat.completions.stream({
      ...{ model: "thinker", messages, max_tokens: 30, temperature: 0 },
      ...thinking(true),
    });
    let streamed = "";
    for await (const { choices } of stream) {
      const delta = choices[0]?.delta as { reasoning_content?: string } | undefined;
      streamed += delta?.reasoning_content ?? "";
    }
    expect(choice?.message).toMatchObject({ reasoning_content: streamed });
    // Not the cached answer of the other.
    const plain = await ask(thinking(false));
    expect(plain.choices[0]?.message).not.toHaveProperty("reasoning_content");
    expect(plain.choices[0]?.message.content).not.toBe("");
    const forged = await ask({ chat_template_kwargs: { tools: "x", messages: [] }, max_tokens: 1 });
    expect(forged.usage?.prompt_tokens).toBe((await ask({ max_tokens: 1 })).usage?.prompt_tokens);
  });

  it("end an answer if the tokenizer alone names them", async () => {
    const serial = { anabranch: { mode: "serial" }, max_tokens: 400, logprobs: false };
    const [known, found] = await Promise.all([ask(serial), ask({ ...serial, model: "unended" })]);
    expect(known.choices[0]?.finish_reason).toBe("stop");
    expect(found.choices).toEqual(known.choices);
    const on = await ask({ ...serial, model: "unended", ignore_eos: true });
    expect(on.choices[0]?.finish_reason).toBe("length");
    expect(on.choices[0]?.message.content).not.toContain("<|im_end|>");
  });

  it.each(["reasoning_effort", "echo"])("refuses %s by name", async (field) => {
    const error = await ask({ [field]: 5 }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ status: 400, param: field });
  });
});
