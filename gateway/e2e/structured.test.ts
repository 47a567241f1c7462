// Answers of a given form through the whole system: chats, plain texts and declared branches.
import type { ChildProcess } from "node:child_process";
import { childProcesses } from "@anabranch/shared/child-processes.ts";
import { bodiesOf } from "@anabranch/shared/lane-answer.ts";
import { Ajv } from "ajv";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";

const model = "anabranch-small";
const messages: OpenAI.ChatCompletionMessageParam[] = [
  { role: "user", content: "Compare Norway and Peru." },
];

let cluster: TestCluster;
let openai: OpenAI;
let worker: ChildProcess;
beforeAll(async () => {
  cluster = await openTestCluster();
  worker = await cluster.addWorker("structured", ["--model", "models/small", "--threads", "1"]);
  const apiKey = await cluster.key("structured");
  openai = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey, maxRetries: 0 });
}, 120_000);
afterAll(() => cluster.close());

const schema = {
  type: "object",
  properties: {
    country: { type: "string", maxLength: 12 },
    people: { type: "integer", minimum: 0 },
    tags: { type: "array", items: { enum: ["warm", "cold"] }, maxItems: 2 },
  },
  required: ["country", "people", "tags"],
  additionalProperties: false,
};
const format = (given: Record<string, unknown>) => ({
  type: "json_schema" as const,
  json_schema: { name: "answer", schema: given, strict: true },
});
const isValid = (text: string | null | undefined, given: object = schema) =>
  new Ajv().validate(given, JSON.parse(text ?? ""));

const bypass: object = { anabranch: { cache: "bypass" } };

type Fields = Partial<OpenAI.ChatCompletionCreateParamsNonStreaming> & Record<string, unknown>;
const ask = (fields: Fields) =>
  openai.chat.completions.create({ model, messages, temperature: 1, ...fields });
const textOf = ({ choices }: OpenAI.ChatCompletion) => choices[0]?.message.content;

/** The error that a request is refused with. */
async function refusal(fields: Fields): Promise<string> {
  const error = await ask(fields).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(OpenAI.BadRequestError);
  const { param, message } = error as InstanceType<typeof OpenAI.BadRequestError>;
  return `${param}: ${message}`;
}

describe("a chat", () => {
  it("is answered in a schema, every choice of it, whole and streamed", async () => {
    const response_format = format(schema);
    const { choices } = await ask({ response_format, n: 4, seed: 5 });
    for (const { message, finish_reason } of choices) {
      expect(isValid(message.content), message.content ?? "").toBe(true);
      expect(finish_reason).toBe("stop");
    }
    const seeded = { model, messages, response_format, seed: 5, temperature: 1 };
    const stream = openai.chat.completions.stream({ ...seeded, n: 1 });
    expect(await stream.finalContent()).toBe(choices[0]?.message.content);
  });

  it("is parsed by the SDK", async () => {
    const answer = z.object({ sure: z.boolean(), word: z.enum(["yes", "no"]) });
    const parsed = await openai.chat.completions.parse({
      ...{ model, messages, response_format: zodResponseFormat(answer, "answer") },
    });
    expect(answer.safeParse(parsed.choices[0]?.message.parsed).success).toBe(true);
  });

  it("is answered in any object, an expression or a choice", async () => {
    const object = await ask({
      response_format: { type: "json_object" },
      seed: 1,
      max_tokens: 400,
    });
    if (object.choices[0]?.finish_reason === "stop") {
      expect(JSON.parse(textOf(object) ?? "")).toBeTypeOf("object");
    }
    expect(textOf(await ask({ guided_regex: "[0-9]{3}-(a|b)" }))).toMatch(/^[0-9]{3}-(a|b)$/);
    const structured_outputs = { choice: ["left", "right"] };
    expect(["left", "right"]).toContain(textOf(await ask({ structured_outputs })));
  });

  it("never branches under a form, whatever the model would do", async () => {
    const answer = await openai.chat.completions
      .create({ model, messages, temperature: 0, response_format: format(schema) })
      .withResponse();
    expect(answer.response.headers.get("x-anabranch-mode")).toBe("serial");
    expect(
      await refusal({ response_format: format(schema), anabranch: { mode: "parallel" } }),
    ).toContain("anabranch.mode");
  });

  it("has the form in the key of its cached answer", async () => {
    const cached = async (words: string[]) => {
      const { data, response } = await openai.chat.completions
        .create({ model, messages, temperature: 0, ...{ guided_choice: words } })
        .withResponse();
      return [textOf(data), response.headers.get("x-anabranch-cache")];
    };
    expect(await cached(["one"])).toEqual(["one", "miss"]);
    expect(await cached(["two"])).toEqual(["two", "miss"]);
    expect(await cached(["one"])).toEqual(["one", "hit"]);
  });

  it("goes on in its form when its engine dies", async () => {
    const long = { guided_regex: "([a-z]{3}[0-9] ){150}", seed: 4, max_tokens: 700 };
    const fields = { ...{ model, messages, temperature: 1 }, ...long };
    const undisturbed = await openai.chat.completions.create({ ...fields, ...bypass });
    const stream = await openai.chat.completions.create({ ...fields, ...bypass, stream: true });
    let text = "";
    let chunks = 0;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      if (++chunks === 3) process.kill(childProcesses(worker.pid ?? 0)[0] ?? 0, "SIGKILL");
    }
    expect(text).toBe(textOf(undisturbed));
    expect(text).toMatch(/^([a-z]{3}[0-9] ){150}$/);
  });

  it("is refused by name where its form can't be held", async () => {
    const unique = { type: "object", properties: { a: { type: "array", uniqueItems: true } } };
    expect(await refusal({ response_format: format(unique) })).toContain(
      "response_format: #/properties/a: 'uniqueItems' is not supported",
    );
    expect(await refusal({ guided_regex: "(?=a)" })).toContain("guided_regex: the pattern");
    expect(await refusal({ guided_regex: "a", guided_choice: ["b"] })).toContain("guided_choice");
    expect(await refusal({ response_format: { type: "yaml" } as never })).toContain(
      "response_format",
    );
  });
});

describe("other requests", () => {
  it("a plain text goes on in a form", async () => {
    const answer = await openai.completions.create({
      ...{ model, prompt: "The answer: ", max_tokens: 300, seed: 3, temperature: 1 },
      ...{ response_format: format(schema) },
    });
    expect(isValid(answer.choices[0]?.text)).toBe(true);
  });

  it("declared branches have forms of their own, else the request's", async () => {
    const year = { type: "object", properties: { year: { type: "integer" } }, required: ["year"] };
    const branches = [
      { title: "One", content: "Which country?" },
      { title: "Two", content: "Which year?", response_format: format(year) },
    ];
    const fields = { response_format: format(schema), anabranch: { branches }, seed: 1 };
    const [choice] = (await ask(fields)).choices;
    const bodies = bodiesOf(choice?.message ?? {});
    expect(isValid(bodies.get("One"))).toBe(true);
    expect(isValid(bodies.get("Two"), year)).toBe(true);
    const bad = [{ ...branches[0], response_format: format({ not: {} }) }, branches[1]];
    expect(await refusal({ anabranch: { branches: bad } })).toContain("anabranch.branches[0]");
  });

  it("a declared branch can be free of the request's form", async () => {
    const branches = [
      { title: "Norway", content: "Norway?" },
      { title: "Peru", content: "Peru?", response_format: { type: "text" } },
    ];
    const options = { branches, cache: "bypass" };
    const fields = { response_format: format(schema), max_tokens: 120, seed: 2 };
    const answer = await ask({ ...fields, anabranch: options });
    const bodies = bodiesOf(answer.choices[0]?.message ?? {});
    // Each is as a request of its own would be.
    const alone = async (content: string, more: Fields) => {
      const asked = [...messages, { role: "user" as const, content }];
      const anabranch = { mode: "serial", cache: "bypass" };
      return textOf(await ask({ ...fields, ...more, messages: asked, anabranch }));
    };
    expect(bodies.get("Norway")).toBe(await alone("Norway?", {}));
    expect(bodies.get("Peru")).toBe(await alone("Peru?", { response_format: { type: "text" } }));
    expect(bodies.get("Peru")).not.toMatch(/^\s*\{/);
  });
});
