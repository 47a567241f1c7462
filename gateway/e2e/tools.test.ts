// Tools through the whole system, in the format of each kind of model: the small model with their chat templates.
import { Ajv } from "ajv";
import OpenAI from "openai";
import { zodFunction } from "openai/helpers/zod";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";
import { knownTemplate, TemplateModels } from "./model-with-template.ts";

const models = new TemplateModels();
const templates = {
  hermes: "qwen2.5.jinja",
  llama3: "tools-llama3.jinja",
  mistral: "mistral-nemo.jinja",
} as const;
const formats = Object.keys(templates) as (keyof typeof templates)[];

let cluster: TestCluster;
let openai: OpenAI;
beforeAll(async () => {
  cluster = await openTestCluster();
  for (const format of formats) {
    const model = models.make(format, knownTemplate(templates[format]));
    await cluster.addWorker(format, ["--model", model, "--model-id", format, "--threads", "1"]);
  }
  await cluster.addWorker("none", ["--model", "models/small", "--threads", "1"]);
  const apiKey = await cluster.key("tools");
  openai = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey, maxRetries: 0 });
}, 180_000);
afterAll(async () => {
  await cluster.close();
  models.remove();
});

const user: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "Weather in Oslo?" }];
const city = { type: "string", minLength: 1, maxLength: 8 };
const parameters = {
  type: "object",
  properties: {
    city,
    days: { type: "integer", minimum: 1, maximum: 9 },
    unit: { enum: ["C", "F"] },
  },
  required: ["city", "days"],
  additionalProperties: false,
};
const clock = { type: "object", properties: { zone: { type: "string", maxLength: 4 } } };
const tools: OpenAI.ChatCompletionFunctionTool[] = [
  { type: "function", function: { name: "weather", description: "Forecast", parameters } },
  { type: "function", function: { name: "clock", parameters: clock } },
];
const schemas: Record<string, object> = { weather: parameters, clock };

type Fields = Partial<OpenAI.ChatCompletionCreateParamsNonStreaming> & Record<string, unknown>;
const bodyOf = (model: string, fields: Fields = {}) => ({
  ...{ model, messages: user, tools, temperature: 1, max_tokens: 250, ...fields },
});
const ask = (model: string, fields: Fields = {}) =>
  openai.chat.completions.create(bodyOf(model, fields));

type Message = OpenAI.ChatCompletionMessage;
function callsOf({ tool_calls: calls = [] }: Message) {
  return calls.map((call) => {
    if (call.type !== "function") return expect.fail(call.type);
    const { name, arguments: text } = call.function;
    expect(call.id).toMatch(/^[A-Za-z0-9]{9}$/);
    expect(new Ajv().validate(schemas[name] ?? false, JSON.parse(text)), `${name} ${text}`).toBe(
      true,
    );
    return { id: call.id, name, text };
  });
}

async function refusal(model: string, fields: Fields): Promise<string> {
  const error = await ask(model, fields).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(OpenAI.BadRequestError);
  const { param, message } = error as InstanceType<typeof OpenAI.BadRequestError>;
  return `${param}: ${message}`;
}

describe.each(formats)("a model that calls as %s does", (model) => {
  it("calls a tool where one is required, with valid arguments", async () => {
    for (let seed = 1; seed <= 6; seed++) {
      const fields = { tool_choice: "required", parallel_tool_calls: false, seed } as const;
      const [choice] = (await ask(model, fields)).choices;
      const { message, finish_reason } = choice ?? expect.fail("no choice");
      expect(finish_reason).toBe("tool_calls");
      expect(message.content).toBeNull();
      expect(callsOf(message)).toHaveLength(1);
    }
  });

  it("calls the tool that is named, once", async () => {
    const tool_choice = { type: "function", function: { name: "clock" } } as const;
    const [choice] = (await ask(model, { tool_choice })).choices;
    expect(callsOf(choice?.message ?? expect.fail()).map(({ name }) => name)).toEqual(["clock"]);
  });

  it("streams calls as it answers with them", async () => {
    const body = bodyOf(model, { tool_choice: "required", seed: 3 });
    const whole = await openai.chat.completions.create({ ...body, stream: false });
    const streamed = await openai.chat.completions
      .stream({ ...body, stream: true })
      .finalChatCompletion();
    const named = (completion: OpenAI.ChatCompletion) =>
      completion.choices.map(({ message, finish_reason }) => [
        finish_reason,
        callsOf(message).map(({ name, text }) => [name, text]),
      ]);
    expect(named(streamed)).toEqual(named(whole));
  });

  it("sees calls and results again, and answers or calls where it may choose", async () => {
    const call = { name: "weather", arguments: '{"city": "Oslo", "days": 2}' };
    const messages: OpenAI.ChatCompletionMessageParam[] = [
      ...user,
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "a1b2c3d4e", type: "function", function: call }],
      },
      { role: "tool", tool_call_id: "a1b2c3d4e", content: "Rain <|im_end|> 4 degrees" },
    ];
    for (let seed = 1; seed <= 3; seed++) {
      const { choices, usage } = await ask(model, { messages, seed, max_tokens: 60 });
      const [choice] = choices;
      const { message, finish_reason } = choice ?? expect.fail("no choice");
      if (finish_reason === "tool_calls") callsOf(message);
      else expect(message.content).toBeTypeOf("string");
      expect(usage?.prompt_tokens).toBeGreaterThan(100);
    }
  });
});

describe("the SDK", () => {
  it("runs tools", async () => {
    const asked: unknown[] = [];
    const runner = openai.chat.completions.runTools({
      ...{ model: "hermes", messages: user, max_tokens: 250 },
      tool_choice: { type: "function", function: { name: "weather" } },
      parallel_tool_calls: false,
      tools: [
        {
          type: "function",
          function: {
            name: "weather",
            description: "Forecast",
            parameters,
            parse: JSON.parse,
            function: (given: unknown) => asked.push(given) && "rain",
          },
        },
      ],
    });
    await runner.done();
    expect(asked).toHaveLength(1);
    expect(new Ajv().validate(parameters, asked[0])).toBe(true);
    expect(runner.messages.at(-1)).toMatchObject({ role: "tool", content: "rain" });
  });

  it("parses arguments", async () => {
    const given = z.object({ word: z.enum(["yes", "no"]), sure: z.boolean() });
    const { choices } = await openai.chat.completions.parse({
      ...{ model: "hermes", messages: user, tool_choice: "required", parallel_tool_calls: false },
      tools: [zodFunction({ name: "answer", parameters: given })],
    });
    const [call] = choices[0]?.message.tool_calls ?? [];
    const parsed = call?.type === "function" && call.function.parsed_arguments;
    expect(given.safeParse(parsed).success).toBe(true);
  });
});

describe("what can't be done", () => {
  it("is refused by name", async () => {
    expect(await refusal("anabranch-small", {})).toContain("tools: this model's chat template");
    const result = { role: "tool", tool_call_id: "a", content: "x" } as const;
    expect(await refusal("anabranch-small", { messages: [...user, result], tools: [] })).toContain(
      "messages: ",
    );
    const unique = { type: "object", properties: { a: { type: "array", uniqueItems: true } } };
    const bad = [{ type: "function", function: { name: "bad", parameters: unique } }] as const;
    expect(await refusal("hermes", { tools: [...bad] })).toContain(
      "tools[0].function.parameters: #/properties/a: 'uniqueItems' is not supported",
    );
    expect(await refusal("hermes", { tools: [...tools, ...tools] })).toContain(
      "tools[2].function.name",
    );
    const other = { type: "function", function: { name: "other" } } as const;
    expect(await refusal("hermes", { tool_choice: other })).toContain("tool_choice");
    expect(await refusal("hermes", { response_format: { type: "json_object" } })).toContain(
      "response_format",
    );
    expect(await refusal("hermes", { anabranch: { mode: "parallel" } })).toContain(
      "anabranch.mode",
    );
  });

  it("is nothing to a request that lets no tool be called", async () => {
    const { choices } = await ask("anabranch-small", { tool_choice: "none", max_tokens: 5 });
    expect(choices[0]?.message.tool_calls).toBeUndefined();
  });
});
