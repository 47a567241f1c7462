// Answers as OpenAI's published schema has them: no field too few, none too many, beyond those that we name here.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../local/bundle.ts";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";
import { type FakeUpstream, startFakeUpstream } from "../test/fake-upstream.ts";
import { knownTemplate, TemplateModels } from "./model-with-template.ts";
import { type Checker, openShapes, type Shapes } from "./openai-shapes.ts";

const models = new TemplateModels();
let cluster: TestCluster;
let openai: OpenAI;
let check: Checker;
let upstream: FakeUpstream;

const run = promisify(execFile);

async function addUpstream(name: string, { url, credential }: FakeUpstream): Promise<void> {
  const command = [join(root, "gateway/local/admin.ts"), "upstreams", "add", name, url];
  await run(process.execPath, command, {
    env: {
      ...process.env,
      ...{ ANABRANCH_GATEWAY: cluster.url, ANABRANCH_ADMIN_TOKEN: cluster.adminToken },
      ANABRANCH_UPSTREAM_CREDENTIAL: credential,
    },
  });
}

beforeAll(async () => {
  cluster = await openTestCluster();
  const hermes = models.make("hermes", knownTemplate("qwen2.5.jinja"));
  await cluster.addWorker("hermes", ["--model", hermes, "--model-id", "hermes", "--threads", "1"]);
  await cluster.addWorker("small");
  const thinks = `${knownTemplate("qwen2.5.jinja")}<think>\n{# </think> ends it #}`;
  const thinker = models.make("thinker", thinks);
  await cluster.addWorker("thinker", [
    ...["--model", thinker, "--model-id", "thinker", "--threads", "1"],
  ]);
  upstream = await startFakeUpstream();
  await addUpstream("broken", upstream);
  const apiKey = await cluster.key("shapes");
  openai = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey, maxRetries: 0 });
  check = openShapes();
}, 180_000);
afterAll(async () => {
  await cluster.close();
  await upstream.close();
  models.remove();
});

const messages = [{ role: "user" as const, content: "Compare Norway and Peru." }];
const parameters = {
  type: "object",
  properties: { days: { type: "integer", minimum: 1, maximum: 9 } },
  required: ["days"],
};
const weather = { name: "weather", parameters };
const word = { type: "object", properties: { word: { enum: ["yes", "no"] } }, required: ["word"] };

/** A body of a request, as JSON or as the events of its stream. */
async function ask(path: string, body: object): Promise<Record<string, unknown>[]> {
  const response = await openai
    .post(path, { body: { model: "anabranch-small", max_tokens: 40, ...body } })
    .asResponse();
  const text = await response.text();
  if (!response.headers.get("content-type")?.startsWith("text/event-stream"))
    return [JSON.parse(text)];
  const data = [...text.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json ?? ""));
  expect(data.length).toBeGreaterThan(1);
  return data;
}

/** Fields of our own stand under this name alone. */
const withoutOurs = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (name, field) => (name === "anabranch" ? undefined : field)));

function expectShape(shape: keyof Shapes, values: readonly unknown[]): void {
  for (const value of values) {
    expect(check(shape, withoutOurs(value)), JSON.stringify(value)).toEqual([]);
  }
}

/** Of events that were held to the schema. */
const kinds = new Set<unknown>();

function expectEvents(events: readonly Record<string, unknown>[]): void {
  expectShape("responseEvent", events);
  for (const { type } of events) kinds.add(type);
}

describe("a value of OpenAI's schema", () => {
  it("is told from one that is none", () => {
    const model = { id: "a", object: "model", created: 1, owned_by: "b" };
    expect(check("model", model)).toEqual([]);
    expect(check("model", { ...model, extra: 1 })).not.toEqual([]);
    expect(check("model", { ...model, created: "1" })).not.toEqual([]);
    expect(check("chat", model)).not.toEqual([]);
  });
});

describe("models", () => {
  it("are listed in it", async () => {
    // A worker's models are listed a moment after it is up.
    const listed = async () => (await openai.models.list()).data;
    await expect.poll(listed).not.toEqual([]);
    const [model] = await listed();
    expectShape("model", [model]);
  });
});

describe.each([
  ["plain", {}],
  ["with log-probabilities", { logprobs: true, top_logprobs: 2 }],
  ["with choices", { n: 2, seed: 1, temperature: 1 }],
  [
    "of a form",
    { response_format: { type: "json_schema", json_schema: { name: "a", schema: word } } },
  ],
  [
    "with calls",
    {
      ...{ model: "hermes", max_tokens: 250, seed: 1, parallel_tool_calls: false },
      tools: [{ type: "function", function: weather }],
      tool_choice: "required",
    },
  ],
])("a chat %s", (_, fields) => {
  it("is of its shape, whole and streamed", async () => {
    const path = "/chat/completions";
    expectShape("chat", await ask(path, { messages, ...fields }));
    const stream = { stream: true, stream_options: { include_usage: true } };
    expectShape("chatChunk", await ask(path, { messages, ...fields, ...stream }));
  });
});

describe.each([
  ["plain", {}],
  ["with log-probabilities", { logprobs: 2 }],
  ["that echoes its prompt", { echo: true, logprobs: 2 }],
  ["of a form", { guided_choice: ["yes", "no"] }],
  ["with choices of several prompts", { prompt: ["One", "Two"], n: 2, seed: 1, temperature: 1 }],
])("a completion %s", (_, fields) => {
  it("is of its shape, whole and streamed", async () => {
    const body = { prompt: "Once upon a time", max_tokens: 20, ...fields };
    expectShape("completion", await ask("/completions", body));
    const stream = { stream: true, stream_options: { include_usage: true } };
    const chunks = await ask("/completions", { ...body, ...stream });
    expectShape("completion", chunks);
    const reasons = chunks.flatMap(({ choices }) => choices as OpenAI.CompletionChoice[]);
    // One end for each choice.
    const prompts = "prompt" in fields ? 4 : 1;
    expect(reasons.filter((choice) => choice.finish_reason !== null)).toHaveLength(prompts);
  });
});

describe.each([
  ["plain", {}],
  ["with log-probabilities", { top_logprobs: 2, include: ["message.output_text.logprobs"] }],
  ["of a form", { text: { format: { type: "json_schema", name: "a", schema: word } } }],
  [
    "with calls",
    {
      ...{ model: "hermes", max_output_tokens: 250, parallel_tool_calls: false },
      tools: [{ type: "function", ...weather, strict: false }],
      tool_choice: "required",
    },
  ],
])("a response %s", (_, fields) => {
  it("is of its shape, whole, streamed and kept", async () => {
    const body = {
      max_tokens: undefined,
      max_output_tokens: 40,
      input: "Compare Norway and Peru.",
      ...fields,
    };
    const [response] = await ask("/responses", body);
    expectShape("response", [response]);
    const kept = await openai.get(`/responses/${response?.id}`).asResponse();
    expectShape("response", [await kept.json()]);
    expectEvents(await ask("/responses", { ...body, stream: true }));
  });
});

describe("the events of a response", () => {
  const input = "Compare Norway and Peru.";
  const streamed = (body: object) =>
    ask("/responses", { ...{ max_tokens: undefined, input, stream: true }, ...body });

  it("are of their shapes where it thinks, and where lanes are marked", async () => {
    expectEvents(await streamed({ model: "thinker", max_output_tokens: 20 }));
    const anabranch = { mode: "parallel", stream: "lanes", cache: "bypass" };
    expectEvents(await streamed({ max_output_tokens: 300, temperature: 0, anabranch }));
  });

  it("are of their shapes where it fails", async () => {
    const script = JSON.stringify({ words: ["It", " is"], failAt: 1 });
    const events = await streamed({ model: "their/model", input: script });
    expect(events.at(-1)).toMatchObject({ type: "error" });
    expectEvents(events);
  });

  it("were of every kind", () => {
    const parts = ["output_item", "content_part"].flatMap((part) => [
      ...[`response.${part}.added`, `response.${part}.done`],
    ]);
    const texts = ["output_text", "reasoning_text", "function_call_arguments"].flatMap((text) => [
      ...[`response.${text}.delta`, `response.${text}.done`],
    ]);
    const whole = ["created", "in_progress", "completed", "incomplete"];
    expect([...kinds].sort()).toEqual(
      [...parts, ...texts, ...whole.map((each) => `response.${each}`), "error"].sort(),
    );
  });
});
