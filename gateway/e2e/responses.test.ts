// OpenAI's Responses API through the whole system, with the stock SDK.
import { Ajv } from "ajv";
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import type { ResponseStreamEvent } from "openai/resources/responses/responses";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";
import { knownTemplate, TemplateModels } from "./model-with-template.ts";

const models = new TemplateModels();
const model = "anabranch-small";
let cluster: TestCluster;
let openai: OpenAI;
beforeAll(async () => {
  cluster = await openTestCluster();
  const hermes = models.make("hermes", knownTemplate("qwen2.5.jinja"));
  await cluster.addWorker("hermes", ["--model", hermes, "--model-id", "hermes", "--threads", "1"]);
  await cluster.addWorker("small", ["--model", "models/small", "--threads", "1"]);
  const apiKey = await cluster.key("responses");
  openai = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey, maxRetries: 0 });
}, 180_000);
afterAll(async () => {
  await cluster.close();
  models.remove();
});

const asked = { model, input: "Compare Norway and Peru.", temperature: 0, max_output_tokens: 40 };
const chat = async (messages: OpenAI.ChatCompletionMessageParam[]) => {
  const completion = await openai.chat.completions.create({
    ...{ model, messages, temperature: 0, max_tokens: 40 },
  });
  return { text: completion.choices[0]?.message.content, usage: completion.usage };
};

describe("a response", () => {
  it("is the answer that a chat has", async () => {
    const metadata = { topic: "countries" };
    const response = await openai.responses.create({
      ...asked,
      instructions: "Be brief.",
      metadata,
    });
    const { text, usage } = await chat([
      { role: "system", content: "Be brief." },
      { role: "user", content: asked.input },
    ]);
    expect(response.output_text).toBe(text);
    expect(response).toMatchObject({
      ...{ object: "response", model, metadata, instructions: "Be brief.", error: null },
      id: expect.stringMatching(/^resp_[0-9a-f]{32}$/),
      output: [{ type: "message", role: "assistant", content: [{ type: "output_text", text }] }],
      usage: {
        input_tokens: usage?.prompt_tokens,
        output_tokens: usage?.completion_tokens,
        total_tokens: usage?.total_tokens,
      },
    });
    const cut = await openai.responses.create({ ...asked, max_output_tokens: 3 });
    expect(cut).toMatchObject({
      ...{ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } },
    });
  });

  it("streams in numbered events", async () => {
    const whole = await openai.responses.create({
      ...asked,
      anabranch: { cache: "bypass" },
    } as typeof asked);
    const stream = openai.responses.stream(asked);
    const events: ResponseStreamEvent[] = [];
    for await (const event of stream) events.push(event);
    const final = await stream.finalResponse();
    expect(final.output_text).toBe(whole.output_text);
    expect(final.status).toBe(whole.status);
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
    const types = events.map(({ type }) => type);
    expect(types.filter((type, index) => type !== types[index - 1])).toEqual([
      ...["response.created", "response.in_progress", "response.output_item.added"],
      ...["response.content_part.added", "response.output_text.delta"],
      ...["response.output_text.done", "response.content_part.done", "response.output_item.done"],
      `response.${whole.status}`,
    ]);
  });

  it("is parsed by the SDK", async () => {
    const answer = z.object({ sure: z.boolean(), word: z.enum(["yes", "no"]) });
    const format = zodTextFormat(answer, "answer");
    const response = await openai.responses.parse({ model, input: "Sure?", text: { format } });
    expect(answer.safeParse(response.output_parsed).success).toBe(true);
  });

  it("has log-probabilities and branches", async () => {
    const response = await openai.responses.create({
      ...{ ...asked, top_logprobs: 2, include: ["message.output_text.logprobs"] },
    });
    const [item] = response.output;
    const [part] = item?.type === "message" ? item.content : [];
    const logprobs = part?.type === "output_text" ? (part.logprobs ?? []) : [];
    expect(logprobs.map(({ token }) => token).join("")).toBe(response.output_text);
    expect(logprobs[0]?.top_logprobs).toHaveLength(2);
    const branches = ["Norway", "Peru"].map((title) => ({ title, content: `What is ${title}?` }));
    const declared = await openai.responses.create({
      ...asked,
      anabranch: { branches },
    } as typeof asked);
    expect(declared).toMatchObject({
      anabranch: { parts: [{ parallel: [{ title: "Norway" }, { title: "Peru" }] }] },
    });
  });
});

describe("a kept response", () => {
  it("is followed, shown and deleted, by its tenant alone", async () => {
    const first = await openai.responses.create(asked);
    const second = await openai.responses.create({
      ...{ ...asked, input: "Go on.", previous_response_id: first.id },
    });
    // A kept answer has its structure.
    const said = (response: OpenAI.Responses.Response) => ({
      ...{ role: "assistant" as const, content: response.output_text },
      anabranch: (response as { anabranch?: object }).anabranch,
    });
    const before: OpenAI.ChatCompletionMessageParam[] = [
      { role: "user", content: asked.input },
      said(first),
      { role: "user", content: "Go on." },
    ];
    const { text, usage } = await chat(before);
    expect(second.usage?.input_tokens).toBe(usage?.prompt_tokens);
    expect(second.output_text).toBe(text);
    const third = openai.responses.stream({
      ...{ ...asked, input: "And?", previous_response_id: second.id },
    });
    const { id, output_text } = await third.finalResponse();
    const asChat = await chat([...before, said(second), { role: "user", content: "And?" }]);
    expect(output_text).toBe(asChat.text);
    expect(await openai.responses.retrieve(id)).toMatchObject({ id, output_text });

    const other = openai.withOptions({ apiKey: await cluster.key("others") });
    const missing = { status: 404, code: "response_not_found" };
    await expect(other.responses.retrieve(id)).rejects.toMatchObject(missing);
    await expect(other.responses.delete(id)).rejects.toMatchObject(missing);
    await expect(
      other.responses.create({ ...asked, previous_response_id: id }),
    ).rejects.toMatchObject({ status: 400, param: "previous_response_id" });

    await openai.responses.delete(first.id);
    await expect(openai.responses.retrieve(first.id)).rejects.toMatchObject(missing);
    const fourth = { ...asked, input: "So?", previous_response_id: second.id };
    expect((await openai.responses.create(fourth)).previous_response_id).toBe(second.id);
    const unkept = await openai.responses.create({ ...asked, store: false });
    await expect(openai.responses.retrieve(unkept.id)).rejects.toMatchObject(missing);
  });
});

const parameters = {
  type: "object",
  properties: { city: { type: "string", minLength: 1, maxLength: 8 } },
  required: ["city"],
  additionalProperties: false,
};
const tools: OpenAI.Responses.FunctionTool[] = [
  { type: "function", name: "weather", description: "Forecast", parameters, strict: true },
];
const tooled = { model: "hermes", input: "Weather in Oslo?", temperature: 0, tools };

describe("tools", () => {
  it("are called, whole and streamed, and their results are seen", async () => {
    const required = { ...tooled, tool_choice: "required", parallel_tool_calls: false } as const;
    const response = await openai.responses.create(required);
    const [call] = response.output;
    if (call?.type !== "function_call") return expect.fail(JSON.stringify(response.output));
    expect(call.name).toBe("weather");
    expect(new Ajv().validate(parameters, JSON.parse(call.arguments))).toBe(true);
    const stream = openai.responses.stream(required);
    const types = new Set<string>();
    for await (const { type } of stream) types.add(type);
    const [streamed] = (await stream.finalResponse()).output;
    expect(streamed).toMatchObject({ type: "function_call", arguments: call.arguments });
    expect(types).toContain("response.function_call_arguments.delta");
    expect(types).toContain("response.function_call_arguments.done");

    const output = { type: "function_call_output", call_id: call.call_id, output: "Rain" } as const;
    const items = [{ role: "user", content: "Weather in Oslo?" } as const, call, output];
    const last = { ...tooled, tool_choice: "none", max_output_tokens: 20 } as const;
    const given = await openai.responses.create({ ...last, input: items });
    const kept = { ...last, input: [output], previous_response_id: response.id };
    const followed = await openai.responses.create(kept);
    expect(followed.usage?.input_tokens).toBe(given.usage?.input_tokens);
    expect(followed.output_text).toBe(given.output_text);
  });
});

describe("refusals", () => {
  it.each<[Record<string, unknown>, string]>([
    [{ background: true }, "background"],
    [{ conversation: "c" }, "conversation"],
    [{ reasoning: { effort: "high" } }, "reasoning"],
    [{ truncation: "auto" }, "truncation"],
    [{ input: undefined }, "input"],
    [{ input: [{ role: "user", content: [{ type: "input_image" }] }] }, "input[0].content[0].type"],
    [{ tools: [{ type: "web_search" }] }, "tools[0].type"],
    [{ include: ["file_search_call.results"] }, "include[0]"],
    [{ previous_response_id: "resp_none" }, "previous_response_id"],
    [{ model: "hermes", tools: [...tools, ...tools] }, "tools[1].name"],
    [
      {
        text: {
          format: { type: "json_schema", name: "a", schema: { uniqueItems: true, type: "array" } },
        },
      },
      "text.format",
    ],
  ])("name the field: %j", async (fields, param) => {
    const body = { ...asked, ...fields } as typeof asked;
    await expect(openai.responses.create(body)).rejects.toMatchObject({ status: 400, param });
  });
});
