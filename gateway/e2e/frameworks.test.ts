// Frameworks that applications are built with, as clients that know nothing of us: Vercel's AI SDK and LangChain.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  type AIMessageChunk,
  HumanMessage,
  ToolMessage,
  type UsageMetadata,
} from "@langchain/core/messages";
import { tool as langchainTool } from "@langchain/core/tools";
import { ChatOpenAI, OpenAI as CompletionsOpenAI } from "@langchain/openai";
import {
  generateObject,
  generateText,
  isStepCount,
  Output,
  streamObject,
  streamText,
  tool,
} from "ai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";
import { knownTemplate, TemplateModels } from "./model-with-template.ts";

Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });

const models = new TemplateModels();
let cluster: TestCluster;
let apiKey: string;
let provider: ReturnType<typeof createOpenAICompatible>;
beforeAll(async () => {
  cluster = await openTestCluster();
  const hermes = models.make("hermes", knownTemplate("qwen2.5.jinja"));
  await cluster.addWorker("hermes", ["--model", hermes, "--model-id", "hermes", "--threads", "1"]);
  await cluster.addWorker("small");
  apiKey = await cluster.key("frameworks");
  provider = createOpenAICompatible({
    ...{ name: "anabranch", baseURL: `${cluster.url}/v1`, apiKey },
    ...{ includeUsage: true, supportsStructuredOutputs: true },
  });
}, 180_000);
afterAll(async () => {
  await cluster.close();
  models.remove();
});

const prompt = "Compare Norway and Peru.";
const forecast = z.object({
  city: z.string().min(1).max(8),
  days: z.number().int().min(1).max(9),
  unit: z.enum(["C", "F"]),
});

describe("ai with @ai-sdk/openai-compatible", () => {
  const asked = () => ({
    model: provider("anabranch-small"),
    prompt,
    temperature: 0,
    maxRetries: 0,
  });
  const called = () => ({
    ...asked(),
    model: provider("hermes"),
    temperature: 1,
    maxOutputTokens: 250,
    // What the provider does not know goes into the body as it is.
    providerOptions: { anabranch: { parallel_tool_calls: false } },
  });

  it("generates and streams the same text, with its end and its usage", async () => {
    const whole = await generateText({ ...asked(), maxOutputTokens: 60 });
    expect(whole.text.length).toBeGreaterThan(0);
    expect(whole.warnings).toEqual([]);
    expect(whole.usage.outputTokens).toBeGreaterThan(0);
    const stream = streamText({ ...asked(), maxOutputTokens: 60 });
    let text = "";
    for await (const delta of stream.textStream) text += delta;
    expect(text).toBe(whole.text);
    expect(await stream.finishReason).toBe(whole.finishReason);
    expect((await stream.usage).outputTokens).toBe(whole.usage.outputTokens);
    expect((await stream.usage).inputTokens).toBe(whole.usage.inputTokens);
  });

  it("goes on with the messages of an answer", async () => {
    const first = await generateText({ ...asked(), maxOutputTokens: 20 });
    const messages = [
      { role: "system" as const, content: "Be brief." },
      { role: "user" as const, content: prompt },
      ...first.response.messages,
      { role: "user" as const, content: "And Chile?" },
    ];
    const { prompt: _, ...rest } = asked();
    const given = { ...rest, messages, allowSystemInMessages: true };
    const next = await generateText({ ...given, maxOutputTokens: 20 });
    expect(next.usage.inputTokens).toBeGreaterThan(first.usage.inputTokens ?? 0);
  });

  it("generates and streams objects of a schema", async () => {
    const object = { ...asked(), schema: forecast, temperature: 1, seed: 4 };
    const { object: whole, finishReason } = await generateObject(object);
    expect(forecast.safeParse(whole).success).toBe(true);
    expect(finishReason).toBe("stop");
    const stream = streamObject(object);
    let parts = 0;
    for await (const _ of stream.partialObjectStream) parts++;
    expect(parts).toBeGreaterThan(0);
    expect(await stream.object).toEqual(whole);
    const tags = z.object({ tags: z.array(z.enum(["warm", "cold"])).max(2) });
    const tagged = { ...asked(), temperature: 1, output: Output.object({ schema: tags }) };
    expect(tags.safeParse((await generateText(tagged)).output).success).toBe(true);
    const choice = Output.choice({ options: ["warm", "cold"] });
    const { output } = await generateText({ ...asked(), output: choice });
    expect(["warm", "cold"]).toContain(output);
  });

  it("calls tools in several steps, then answers", async () => {
    const given: unknown[] = [];
    const weather = tool({
      description: "Forecast",
      inputSchema: forecast,
      execute: async (input) => given.push(input) && { weather: "rain" },
    });
    const steps = {
      ...{ ...called(), tools: { weather }, stopWhen: isStepCount(3) },
      // Two steps that must call, and one that can't.
      prepareStep: ({ stepNumber }: { stepNumber: number }) => ({
        toolChoice: stepNumber < 2 ? ("required" as const) : ("none" as const),
      }),
    };
    const whole = await generateText({ ...steps, seed: 2 });
    expect(whole.steps).toHaveLength(3);
    expect(whole.steps.map(({ finishReason }) => finishReason).slice(0, 2)).toEqual([
      ...["tool-calls", "tool-calls"],
    ]);
    expect(whole.steps.at(-1)?.toolCalls).toEqual([]);
    expect(given.length).toBeGreaterThanOrEqual(2);
    for (const each of given) expect(forecast.safeParse(each).success).toBe(true);
    given.length = 0;
    const stream = streamText({ ...steps, seed: 2 });
    const kinds = new Set<string>();
    for await (const { type } of stream.fullStream) kinds.add(type);
    expect([...kinds]).toEqual(expect.arrayContaining(["tool-call", "tool-result", "finish"]));
    expect(await stream.text).toBe(whole.text);
    expect(
      (await stream.steps).flatMap(({ toolCalls }) => toolCalls.map((call) => call.input)),
    ).toEqual(whole.steps.flatMap(({ toolCalls }) => toolCalls.map((call) => call.input)));
  });

  it("calls the tool that is named, and leaves with its reader", async () => {
    const tools = {
      weather: tool({ inputSchema: forecast, execute: async () => "rain" }),
      clock: tool({ inputSchema: z.object({}), execute: async () => "noon" }),
    };
    const named = { type: "tool" as const, toolName: "clock" as const };
    const { toolCalls } = await generateText({ ...called(), tools, toolChoice: named });
    expect(toolCalls[0]).toMatchObject({ toolName: "clock", input: {} });
    const controller = new AbortController();
    const endless = {
      ...called(),
      maxOutputTokens: 1_000,
      providerOptions: { anabranch: { ignore_eos: true } },
    };
    const stream = streamText({ ...endless, abortSignal: controller.signal });
    const kinds: string[] = [];
    for await (const { type } of stream.fullStream) {
      kinds.push(type);
      if (type === "text-delta") controller.abort();
    }
    expect(kinds.at(-1)).toBe("abort");
    await expect.poll(() => cluster.busy(), { timeout: 20_000 }).toEqual([]);
  });

  it("completes a plain text", async () => {
    const model = provider.completionModel("anabranch-small");
    const { text, usage } = await generateText({ ...asked(), model, maxOutputTokens: 20 });
    expect(text.length).toBeGreaterThan(0);
    expect(usage.outputTokens).toBeGreaterThan(0);
    const stream = streamText({ ...asked(), model, maxOutputTokens: 20 });
    expect(await stream.text).toBe(text);
  });

  it("tells errors by their status and message", async () => {
    const error = await generateText({ ...asked(), topP: 7 }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ statusCode: 400, message: expect.stringContaining("top_p") });
    const missing = generateText({ ...asked(), model: provider("none") });
    await expect(missing).rejects.toMatchObject({ statusCode: 404 });
  });
});

describe("@langchain/openai", () => {
  const chat = (fields: object = {}) =>
    new ChatOpenAI({
      ...{ model: "anabranch-small", apiKey, configuration: { baseURL: `${cluster.url}/v1` } },
      ...{ temperature: 0, maxTokens: 60, maxRetries: 0, ...fields },
    });
  const called = { model: "hermes", temperature: 1, maxTokens: 250 };
  const caller = () => chat({ ...called, modelKwargs: { seed: 3 } });
  const required = { tool_choice: "any" as const, parallel_tool_calls: false };
  const weather = langchainTool(({ city }) => `rain in ${city}`, {
    ...{ name: "weather", description: "Forecast", schema: forecast },
  });

  // Its types lose what usage is.
  const usageOf = ({ usage_metadata }: AIMessageChunk) =>
    usage_metadata as UsageMetadata | undefined;

  it("invokes and streams the same text, with its usage", async () => {
    const whole = await chat().invoke(prompt);
    expect(whole.text.length).toBeGreaterThan(0);
    expect(usageOf(whole)?.output_tokens).toBeGreaterThan(0);
    let gathered: AIMessageChunk | undefined;
    for await (const chunk of await chat().stream(prompt)) {
      gathered = gathered?.concat(chunk) ?? chunk;
    }
    expect(gathered?.text).toBe(whole.text);
    expect(gathered && usageOf(gathered)).toMatchObject({
      ...{
        output_tokens: usageOf(whole)?.output_tokens,
        input_tokens: usageOf(whole)?.input_tokens,
      },
    });
    expect(gathered?.response_metadata.finish_reason).toBe(whole.response_metadata.finish_reason);
    const batch = await chat().batch([prompt, prompt]);
    expect(batch.map(({ text }) => text)).toEqual([whole.text, whole.text]);
  });

  it("gives log-probabilities, and several answers", async () => {
    const { response_metadata } = await chat({ logprobs: true, topLogprobs: 2 }).invoke(prompt);
    expect(response_metadata.logprobs).toMatchObject({
      content: expect.arrayContaining([
        expect.objectContaining({ top_logprobs: [expect.anything(), expect.anything()] }),
      ]),
    });
    const { generations } = await chat({ n: 2, temperature: 1 }).generate([
      [new HumanMessage(prompt)],
    ]);
    expect(generations[0]).toHaveLength(2);
  });

  it.each(["jsonSchema", "functionCalling"] as const)(
    "has structured output by %s",
    async (method) => {
      const model = caller().withStructuredOutput(forecast, { method, name: "forecast" });
      expect(forecast.safeParse(await model.invoke(prompt)).success).toBe(true);
      const strict = caller().withStructuredOutput(forecast, {
        ...{ method, name: "forecast", includeRaw: true as const, strict: true },
      });
      const { raw, parsed } = await strict.invoke(prompt);
      expect(forecast.safeParse(parsed).success).toBe(true);
      expect(raw.getType()).toBe("ai");
      let last: unknown;
      for await (const partial of await model.stream(prompt)) last = partial;
      expect(forecast.safeParse(last).success).toBe(true);
    },
  );

  it("binds tools, whose results the next question carries", async () => {
    const model = caller().bindTools([weather], { ...required, strict: true });
    const question = new HumanMessage("Weather in Oslo?");
    const answer = await model.invoke([question]);
    const calls = answer.tool_calls ?? [];
    expect(calls.length).toBeGreaterThan(0);
    expect(answer.invalid_tool_calls).toEqual([]);
    for (const { args } of calls) expect(forecast.safeParse(args).success).toBe(true);
    const results = await Promise.all(
      calls.map((call) => weather.invoke({ ...call, type: "tool_call" }) as Promise<ToolMessage>),
    );
    expect(results[0]).toBeInstanceOf(ToolMessage);
    const text = caller().bindTools([weather], { tool_choice: "none" });
    const last = await text.invoke([question, answer, ...results]);
    expect(last.tool_calls).toEqual([]);
    let streamed: AIMessageChunk | undefined;
    for await (const chunk of await model.stream([question])) {
      streamed = streamed?.concat(chunk) ?? chunk;
    }
    expect(streamed?.tool_calls?.length).toBeGreaterThan(0);
    for (const { args } of streamed?.tool_calls ?? []) {
      expect(forecast.safeParse(args).success).toBe(true);
    }
  });

  it("works over Responses, too", async () => {
    const whole = await chat({ useResponsesApi: true }).invoke(prompt);
    expect(whole.text).toBe((await chat().invoke(prompt)).text);
    let text = "";
    for await (const chunk of await chat({ useResponsesApi: true }).stream(prompt))
      text += chunk.text;
    expect(text).toBe(whole.text);
    const unit = z.object({ unit: z.enum(["C", "F"]) });
    const clock = langchainTool(() => "noon", { name: "clock", schema: unit });
    const tooled = chat({ ...called, useResponsesApi: true }).bindTools([clock], {
      // It says nothing of a choice that names no tool.
      ...{ tool_choice: "clock", parallel_tool_calls: false },
    });
    const { tool_calls } = await tooled.invoke(prompt);
    expect(tool_calls?.map(({ args }) => unit.safeParse(args).success)).toEqual([true]);
  });

  it("completes a plain text, whole and streamed", async () => {
    const model = new CompletionsOpenAI({
      ...{ model: "anabranch-small", apiKey, configuration: { baseURL: `${cluster.url}/v1` } },
      ...{ temperature: 0, maxTokens: 20, maxRetries: 0 },
    });
    const whole = await model.invoke("Once upon a time");
    expect(whole.length).toBeGreaterThan(0);
    let text = "";
    for await (const chunk of await model.stream("Once upon a time")) text += chunk;
    expect(text).toBe(whole);
  });

  it("tells errors by their status", async () => {
    await expect(chat({ topP: 7 }).invoke(prompt)).rejects.toMatchObject({ status: 400 });
    await expect(chat({ model: "none" }).invoke(prompt)).rejects.toMatchObject({ status: 404 });
  });
});
