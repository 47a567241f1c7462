// What the vendors' SDKs do around a request: helpers of their streams, aborted ones, errors and lists.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { ChatCompletionStream } from "openai/lib/ChatCompletionStream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";
import { knownTemplate, TemplateModels } from "./model-with-template.ts";

const models = new TemplateModels();
const model = "anabranch-small";
let cluster: TestCluster;
let openai: OpenAI;
let anthropic: Anthropic;
const options = { maxRetries: 0 };
beforeAll(async () => {
  cluster = await openTestCluster();
  const hermes = models.make("hermes", knownTemplate("qwen2.5.jinja"));
  await cluster.addWorker("hermes", ["--model", hermes, "--model-id", "hermes", "--threads", "1"]);
  await cluster.addWorker("small");
  const apiKey = await cluster.key("sdks");
  openai = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey, ...options });
  anthropic = new Anthropic({ baseURL: cluster.url, apiKey, authToken: null, ...options });
}, 180_000);
afterAll(async () => {
  await cluster.close();
  models.remove();
});

const messages = [{ role: "user" as const, content: "Compare Norway and Peru." }];
const chat = { model, messages, max_tokens: 60, temperature: 0 };
const endless = { ...chat, max_tokens: 1_000, ignore_eos: true, temperature: 1 };
const whole = async () => (await openai.chat.completions.create(chat)).choices[0]?.message.content;

describe("openai", () => {
  it("gathers a stream: its text, its end and its usage", async () => {
    const stream = openai.chat.completions.stream({
      ...{ ...chat, stream_options: { include_usage: true }, logprobs: true },
    });
    let text = "";
    let tokens = 0;
    const deltas: string[] = [];
    stream.on("content", (delta) => deltas.push(delta));
    stream.on("logprobs.content.delta", ({ content }) => {
      tokens += content.length;
    });
    for await (const { choices } of stream) text += choices[0]?.delta.content ?? "";
    const completion = await stream.finalChatCompletion();
    expect(completion.choices[0]?.message.content).toBe(await whole());
    expect([text, deltas.join("")]).toEqual([await whole(), await whole()]);
    expect(completion.choices[0]?.logprobs?.content).toHaveLength(tokens);
    expect(await stream.totalUsage()).toMatchObject({ prompt_tokens: expect.any(Number) });
    expect((await stream.totalUsage()).completion_tokens).toBeGreaterThanOrEqual(tokens);
  });

  it("hands a stream on as bytes, and reads it there", async () => {
    const stream = openai.chat.completions.stream(chat);
    const again = ChatCompletionStream.fromReadableStream(stream.toReadableStream());
    expect(await again.finalContent()).toBe(await whole());
  });

  it("aborts streams, which frees the worker", async () => {
    const helper = openai.chat.completions.stream(endless);
    helper.once("content", () => helper.abort());
    await expect(helper.done()).rejects.toThrow(OpenAI.APIUserAbortError);
    const plain = await openai.completions.create({
      ...{ model, prompt: "Once", stream: true as const, max_tokens: 1_000 },
      ...{ ignore_eos: true, temperature: 1 },
    });
    for await (const _ of plain) break; // which aborts it
    // Eight choices of a thousand tokens take longer than that anywhere.
    const timely = { timeout: 100, maxRetries: 0 };
    const late = openai.chat.completions.create({ ...endless, n: 8, stream: false }, timely);
    await expect(late).rejects.toThrow(OpenAI.APIConnectionTimeoutError);
    await expect.poll(() => cluster.busy(), { timeout: 20_000 }).toEqual([]);
  });

  it("runs tools in a stream", async () => {
    const asked: unknown[] = [];
    const runner = openai.chat.completions.runTools({
      ...{ model: "hermes", messages, max_tokens: 250, stream: true as const },
      ...{ parallel_tool_calls: false, temperature: 1 },
      tool_choice: { type: "function" as const, function: { name: "weather" } },
      tools: [
        {
          type: "function" as const,
          function: {
            name: "weather",
            description: "Forecast",
            parameters: {
              type: "object",
              properties: { days: { type: "integer", minimum: 1, maximum: 9 } },
              required: ["days"],
            },
            parse: JSON.parse,
            function: (given: unknown) => asked.push(given) && "rain",
          },
        },
      ],
    });
    await runner.done();
    expect(asked).toEqual([{ days: expect.any(Number) }]);
    expect(runner.messages.at(-1)).toMatchObject({ role: "tool", content: "rain" });
  });

  it("has errors of its own classes, with the request's id", async () => {
    const error = async (client: OpenAI, fields: object) =>
      await client.chat.completions.create({ ...chat, ...fields }).catch((caught) => caught);
    expect(await error(openai, { top_p: 7 })).toBeInstanceOf(OpenAI.BadRequestError);
    expect(await error(openai, { top_p: 7 })).toMatchObject({
      ...{ param: "top_p", type: "invalid_request_error", requestID: expect.any(String) },
    });
    expect(await error(openai, { model: "none" })).toBeInstanceOf(OpenAI.NotFoundError);
    const stranger = openai.withOptions({ apiKey: "sk-ab-none" });
    expect(await error(stranger, {})).toBeInstanceOf(OpenAI.AuthenticationError);
    const slow = openai.withOptions({ apiKey: await cluster.key("slow", { rpm: 1 }) });
    await slow.chat.completions.create({ ...chat, max_tokens: 1 });
    expect(await error(slow, {})).toBeInstanceOf(OpenAI.RateLimitError);
  });

  it("lists models, and shows the response behind an answer", async () => {
    const ids: string[] = [];
    for await (const { id } of openai.models.list()) ids.push(id);
    expect(ids.sort()).toEqual(["anabranch-small", "hermes"]);
    expect((await openai.models.retrieve("hermes")).id).toBe("hermes");
    const { data, response, request_id } = await openai.chat.completions
      .create({ ...chat, max_tokens: 1 })
      .withResponse();
    expect(response.headers.get("x-request-id")).toBe(request_id);
    expect(data.id).toContain(request_id?.slice(0, 8));
  });
});

describe("anthropic", () => {
  const asked = { model, max_tokens: 60, messages, temperature: 0 };

  it("gathers a stream: its text, its snapshots and its usage", async () => {
    const stream = anthropic.messages.stream(asked);
    const deltas: string[] = [];
    let snapshot = "";
    stream.on("text", (delta, all) => {
      deltas.push(delta);
      snapshot = all;
    });
    const final = await stream.finalMessage();
    expect(await stream.finalText()).toBe(await whole());
    expect([deltas.join(""), snapshot]).toEqual([await whole(), await whole()]);
    expect(final.usage.output_tokens).toBeGreaterThan(0);
    let raw = "";
    for await (const event of await anthropic.messages.create({ ...asked, stream: true })) {
      if (event.type === "content_block_delta" && event.delta.type === "text_delta") {
        raw += event.delta.text;
      }
    }
    expect(raw).toBe(snapshot);
  });

  it("aborts a stream, which frees the worker", async () => {
    const stream = anthropic.messages.stream({ ...asked, max_tokens: 1_000 });
    stream.once("text", () => stream.abort());
    await expect(stream.done()).rejects.toThrow(Anthropic.APIUserAbortError);
    await expect.poll(() => cluster.busy(), { timeout: 20_000 }).toEqual([]);
  });

  it("has errors of its own classes, and lists models", async () => {
    const error = (client: Anthropic, fields: object) =>
      client.messages.create({ ...asked, ...fields }).catch((caught: unknown) => caught);
    expect(await error(anthropic, { top_p: 7 })).toBeInstanceOf(Anthropic.BadRequestError);
    expect(await error(anthropic, { model: "none" })).toBeInstanceOf(Anthropic.NotFoundError);
    const stranger = anthropic.withOptions({ apiKey: "sk-ab-none" });
    expect(await error(stranger, {})).toBeInstanceOf(Anthropic.AuthenticationError);
    const ids: string[] = [];
    for await (const { id } of anthropic.models.list()) ids.push(id);
    expect(ids.sort()).toEqual(["anabranch-small", "hermes"]);
  });
});
