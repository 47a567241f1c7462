// Anthropic's Messages API through the whole system, with its stock SDK.
import Anthropic from "@anthropic-ai/sdk";
import { Ajv } from "ajv";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";
import { knownTemplate, TemplateModels } from "./model-with-template.ts";

const models = new TemplateModels();
let cluster: TestCluster;
let anthropic: Anthropic;
let openai: OpenAI;
beforeAll(async () => {
  cluster = await openTestCluster();
  const hermes = models.make("hermes", knownTemplate("qwen2.5.jinja"));
  await cluster.addWorker("hermes", ["--model", hermes, "--model-id", "hermes", "--threads", "1"]);
  await cluster.addWorker("small", ["--model", "models/small", "--threads", "1"]);
  const apiKey = await cluster.key("messages");
  anthropic = new Anthropic({ baseURL: cluster.url, apiKey, authToken: null, maxRetries: 0 });
  openai = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey, maxRetries: 0 });
}, 180_000);
afterAll(async () => {
  await cluster.close();
  models.remove();
});

type Params = Omit<Anthropic.MessageCreateParamsNonStreaming, "stream">;
const chat: Params = {
  model: "anabranch-small",
  max_tokens: 40,
  system: "Be brief.",
  messages: [
    { role: "user", content: [{ type: "text", text: "Compare Norway and Peru." }] },
    { role: "assistant", content: [{ type: "text", text: "Norway is " }] },
    { role: "user", content: "Go on." },
  ],
};
/** Greedy: this SDK has no types for how to sample. */
const greedy: object = { temperature: 0 };
const textOf = ({ content }: Anthropic.Message) =>
  content.map((block) => (block.type === "text" ? block.text : "")).join("");

const city = { type: "string", minLength: 1, maxLength: 8 };
const schema = {
  type: "object" as const,
  properties: { city, days: { type: "integer", minimum: 1, maximum: 9 } },
  required: ["city", "days"],
  additionalProperties: false,
};
const tools: Anthropic.Tool[] = [
  { name: "weather", description: "Forecast", input_schema: schema },
  {
    name: "clock",
    input_schema: { type: "object", properties: { zone: { type: "string", maxLength: 4 } } },
  },
];
const asking: Params = {
  ...{ model: "hermes", max_tokens: 250, tools },
  messages: [{ role: "user", content: "Weather in Oslo?" }],
};

describe("a message", () => {
  it("is the answer that a chat has", async () => {
    const message = await anthropic.messages.create({ ...chat, ...greedy });
    const completion = await openai.chat.completions.create({
      ...{ model: "anabranch-small", max_tokens: 40, temperature: 0 },
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Compare Norway and Peru." },
        { role: "assistant", content: "Norway is " },
        { role: "user", content: "Go on." },
      ],
    });
    const [choice] = completion.choices;
    expect(message).toMatchObject({
      ...{ type: "message", role: "assistant", model: "anabranch-small", stop_sequence: null },
      id: expect.stringMatching(/^msg_[0-9a-f]{32}$/),
      content: [{ type: "text", text: choice?.message.content }],
      stop_reason: choice?.finish_reason === "stop" ? "end_turn" : "max_tokens",
    });
    const { input_tokens, cache_read_input_tokens, output_tokens } = message.usage;
    expect(input_tokens + (cache_read_input_tokens ?? 0)).toBe(completion.usage?.prompt_tokens);
    expect(output_tokens).toBe(completion.usage?.completion_tokens);
  });

  it("streams in the events of the API", async () => {
    const whole = await anthropic.messages.create({ ...chat, ...greedy });
    const stream = anthropic.messages.stream({ ...chat, ...greedy });
    const types: string[] = [];
    stream.on("streamEvent", ({ type }) => types.push(type));
    const message = await stream.finalMessage();
    expect(textOf(message)).toBe(textOf(whole));
    expect(message.stop_reason).toBe(whole.stop_reason);
    expect(message.usage.output_tokens).toBe(whole.usage.output_tokens);
    expect(message.usage.input_tokens).toBe(whole.usage.input_tokens);
    const order = types.filter((type, index) => type !== types[index - 1]);
    expect(order.filter((type) => type !== "ping")).toEqual([
      ...["message_start", "content_block_start", "content_block_delta", "content_block_stop"],
      ...["message_delta", "message_stop"],
    ]);
    const response = await anthropic.messages.create({ ...chat, stream: true }).asResponse();
    const lines = (await response.text()).split("\n").filter((line) => line.startsWith("event: "));
    expect(lines.slice(0, 2)).toEqual(["event: message_start", "event: ping"]);
    expect(lines.at(-1)).toBe("event: message_stop");
  });

  it("names the stop sequence that ended it", async () => {
    const whole = textOf(await anthropic.messages.create({ ...chat, ...greedy }));
    const stop = whole.slice(8, 11);
    const asked = { ...chat, ...greedy, stop_sequences: ["\u0000never", stop] };
    const message = await anthropic.messages.create(asked);
    expect(message).toMatchObject({ stop_reason: "stop_sequence", stop_sequence: stop });
    expect(textOf(message)).toBe(whole.slice(0, whole.indexOf(stop)));
    const streamed = await anthropic.messages.stream(asked).finalMessage();
    expect(streamed).toMatchObject({ stop_reason: "stop_sequence", stop_sequence: stop });
  });

  it("has a form, and branches that the request declares", async () => {
    const format = { type: "json_schema" as const, schema };
    const formed = await anthropic.messages.create({
      ...chat,
      output_config: { format },
      max_tokens: 200,
    });
    expect(new Ajv().validate(schema, JSON.parse(textOf(formed))), textOf(formed)).toBe(true);
    const branches = ["Norway", "Peru"].map((title) => ({ title, content: `What is ${title}?` }));
    const declared = { ...chat, ...greedy, anabranch: { branches } };
    const message = await anthropic.messages.create(declared);
    expect(textOf(message)).toMatch(/^\*\*Norway\*\*\n\n[\s\S]*\n\n\*\*Peru\*\*\n\n/);
    expect(message).toMatchObject({
      anabranch: { parts: [{ parallel: [{ title: "Norway" }, { title: "Peru" }] }] },
    });
    const streamed = await anthropic.messages.stream(declared).finalMessage();
    expect(textOf(streamed)).toBe(textOf(message));
    expect(streamed.usage).toEqual({ ...message.usage, anabranch: undefined });
    const { parts } = (message as unknown as { anabranch: { parts: object[] } }).anabranch;
    expect(streamed.content).toEqual([
      ...message.content,
      { type: "text", text: "", citations: null, anabranch: { parts } },
    ]);
  });

  it("shows the model the structure that a stream's last block carries", async () => {
    const question = { role: "user" as const, content: "Compare Norway and Peru." };
    const branched: Params = {
      ...{ model: "anabranch-small", max_tokens: 300, messages: [question], ...greedy },
      ...({ anabranch: { mode: "parallel" } } as object),
    };
    const streamed = await anthropic.messages.stream(branched).finalMessage();
    const [last] = streamed.content.slice(-1) as { anabranch?: object }[];
    expect(last?.anabranch).toMatchObject({
      parts: expect.arrayContaining([{ parallel: expect.any(Array) }]),
    });
    const tokens = async (answer: object) => {
      const messages = [question, { role: "assistant" as const, ...answer }, question];
      const asked = { ...branched, messages } as Params;
      return (await anthropic.messages.countTokens(asked)).input_tokens;
    };
    const carried = await tokens({ content: streamed.content });
    const content = textOf(streamed);
    expect(carried).toBe(await tokens({ content, anabranch: last?.anabranch }));
    expect(carried).not.toBe(await tokens({ content }));
  });
});

describe("tools", () => {
  const inputsOf = ({ content }: Anthropic.Message) =>
    content.flatMap((block) => (block.type === "tool_use" ? [[block.name, block.input]] : []));

  it("are called with valid input, whole and streamed", async () => {
    const tool_choice = { type: "tool", name: "weather", disable_parallel_tool_use: true } as const;
    const asked = { ...asking, ...greedy, tool_choice };
    const message = await anthropic.messages.create(asked);
    expect(message.stop_reason).toBe("tool_use");
    const [call] = message.content;
    expect(call).toMatchObject({ type: "tool_use", name: "weather" });
    expect(new Ajv().validate(schema, call?.type === "tool_use" && call.input)).toBe(true);
    const streamed = await anthropic.messages.stream(asked).finalMessage();
    expect(inputsOf(streamed)).toEqual(inputsOf(message));
    expect(streamed.stop_reason).toBe("tool_use");
  });

  it("give results that the model is shown", async () => {
    const id = "a1b2c3d4e";
    const input = { city: "Oslo", days: 2 };
    const results = [
      { type: "text" as const, text: "Rain " },
      { type: "text" as const, text: "4°" },
    ];
    const messages: Anthropic.MessageParam[] = [
      ...asking.messages,
      {
        role: "assistant",
        content: [
          { type: "text", text: "I look." },
          { type: "tool_use", id, name: "weather", input },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: id, content: results },
          { type: "text", text: "And?" },
        ],
      },
    ];
    const message = await anthropic.messages.create({
      ...asking,
      ...greedy,
      messages,
      max_tokens: 30,
    });
    const completion = await openai.chat.completions.create({
      ...{ model: "hermes", max_tokens: 30, temperature: 0 },
      tools: tools.map(({ name, description = "", input_schema }) => ({
        type: "function",
        function: { name, description, parameters: { ...input_schema } },
      })),
      messages: [
        { role: "user", content: "Weather in Oslo?" },
        {
          ...{ role: "assistant", content: "I look." },
          tool_calls: [
            {
              id,
              type: "function",
              function: { name: "weather", arguments: JSON.stringify(input) },
            },
          ],
        },
        { role: "tool", tool_call_id: id, content: "Rain 4°" },
        { role: "user", content: "And?" },
      ],
    });
    expect(textOf(message)).toBe(completion.choices[0]?.message.content ?? "");
  });
});

describe("counting", () => {
  it("says what a message's prompt will have, declared branches and all", async () => {
    const branches = ["Norway", "Peru"].map((title) => ({ title, content: `What is ${title}?` }));
    const declared = { ...chat, anabranch: { branches } };
    const uncalled = { ...asking, tool_choice: { type: "none" as const } };
    for (const { max_tokens: _, ...prompt } of [chat, asking, declared, uncalled]) {
      const { input_tokens: counted } = await anthropic.messages.countTokens(prompt);
      const { usage } = await anthropic.messages.create({ ...prompt, max_tokens: 1 });
      expect(counted).toBe(usage.input_tokens + (usage.cache_read_input_tokens ?? 0));
    }
  });
});

describe("refusals", () => {
  const refused = async (fields: Record<string, unknown>) => {
    const body = { ...chat, ...fields } as Params;
    const error = await anthropic.messages.create(body).catch((caught: unknown) => caught);
    if (!(error instanceof Anthropic.APIError)) return expect.fail(String(error));
    return { status: error.status, body: error.error };
  };
  const named = (type: string, message: RegExp) => ({
    type: "error",
    error: { type, message: expect.stringMatching(message) },
  });

  it("have the API's shape and name the field", async () => {
    const invalid = "invalid_request_error";
    const picture = { type: "image", source: { type: "url", url: "https://x.test/a.png" } };
    const bad = { type: "object", properties: { a: { type: "array", uniqueItems: true } } };
    const cases: [Record<string, unknown>, RegExp][] = [
      [{ max_tokens: undefined }, /'max_tokens'/],
      [{ messages: [] }, /'messages'/],
      [{ messages: [{ role: "user", content: [picture] }] }, /messages\[0\]\.content\[0\]/],
      [{ messages: [...chat.messages, { role: "assistant", content: "So" }] }, /last message/],
      [{ container: "c" }, /'container'/],
      [{ tools: [{ type: "web_search_20250305", name: "web_search" }] }, /tools\[0\]\.type/],
      [{ model: "hermes", tools: [...tools, tools[0]] }, /same name/],
      [
        { model: "hermes", tools: [{ name: "f", input_schema: bad }] },
        /tools\[0\]\.input_schema: #/,
      ],
    ];
    for (const [fields, message] of cases) {
      expect(await refused(fields)).toEqual({ status: 400, body: named(invalid, message) });
    }
    expect(await refused({ model: "none" })).toEqual({
      status: 404,
      body: named("not_found_error", /'none'/),
    });
    const stranger = anthropic.withOptions({ apiKey: "nobody's" });
    const error = await stranger.messages.create(chat).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(Anthropic.AuthenticationError);
    expect(error).toMatchObject({ error: named("authentication_error", /API key/) });
  });
});
