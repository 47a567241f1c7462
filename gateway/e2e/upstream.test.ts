// A gateway whose only server is another gateway of ours: answers with their branches come through unchanged.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { bodiesOf, collectLanes } from "@anabranch/shared/lane-answer.ts";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../local/bundle.ts";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";
import { knownTemplate, TemplateModels } from "./model-with-template.ts";

const model = "anabranch-small";
const templates = new TemplateModels();
/** Its chat template has tools; that of `model` has none. */
const withTools = "with-tools";
const run = promisify(execFile);

let inner: TestCluster;
let outer: TestCluster;
let direct: OpenAI;
let through: OpenAI;
let key: string;
beforeAll(async () => {
  [inner, outer] = await Promise.all([openTestCluster(), openTestCluster()]);
  await inner.addWorker("one");
  const folder = templates.make(withTools, knownTemplate("qwen2.5.jinja"));
  await inner.addWorker("two", ["--model", folder, "--model-id", withTools, "--threads", "1"]);
  const clientOf = (url: string, apiKey: string) =>
    new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
  const innerKey = await inner.key("outer");
  key = await outer.key("people");
  direct = clientOf(inner.url, innerKey);
  through = clientOf(outer.url, key);
  const added = await admin(["upstreams", "add", "inner", `${inner.url}/v1`], {
    ANABRANCH_UPSTREAM_CREDENTIAL: innerKey,
  });
  expect(added).toMatchObject({ id: "inner", models: [model, withTools], error: null });
}, 120_000);
afterAll(async () => {
  await Promise.all([inner.close(), outer.close()]);
  templates.remove();
});

async function admin(args: readonly string[], env: Record<string, string> = {}): Promise<object> {
  const file = join(root, "gateway/local/admin.ts");
  const { stdout } = await run(process.execPath, [file, ...args, "--json"], {
    env: {
      ...process.env,
      ...env,
      ...{ ANABRANCH_GATEWAY: outer.url, ANABRANCH_ADMIN_TOKEN: outer.adminToken },
    },
  });
  return JSON.parse(stdout);
}

const question = [{ role: "user" as const, content: "Compare Tokyo, Paris and Cairo." }];
const ours = (anabranch: object) => ({ anabranch }) as object;
const parallel = ours({ mode: "parallel", cache: "bypass" });

const ask = (client: OpenAI, fields: object = parallel) =>
  client.chat.completions.create({
    ...{ model, messages: question, temperature: 0, max_tokens: 200 },
    ...fields,
  }) as Promise<OpenAI.ChatCompletion>;

describe("another gateway of ours as an upstream", () => {
  it("is shown as one, with what its models can do", async () => {
    const { data } = await through.models.list();
    expect(data).toMatchObject([
      { id: model, anabranch: { upstream: true, dialect: "aspd" } },
      { id: withTools, anabranch: { upstream: true } },
    ]);
  });

  it("gives the same answer in the same branches", async () => {
    const [theirs, answer] = await Promise.all([ask(direct), ask(through)]);
    expect(bodiesOf(answer.choices[0]?.message ?? {}).size).toBeGreaterThan(1);
    expect(answer.choices).toEqual(theirs.choices);
    expect(answer.usage?.completion_tokens).toBe(theirs.usage?.completion_tokens);
    expect(Reflect.get(answer.usage ?? {}, "anabranch")).toMatchObject({
      branches: Reflect.get(theirs.usage ?? {}, "anabranch").branches,
      steps: Reflect.get(theirs.usage ?? {}, "anabranch").steps,
    });
  });

  it("streams its lanes as they grow", async () => {
    const stream = await through.chat.completions.create({
      ...{ model, messages: question, temperature: 0, max_tokens: 200, stream: true },
      ...ours({ mode: "parallel", cache: "bypass", stream: "lanes" }),
    });
    const answer = await collectLanes(stream);
    const theirs = await ask(direct);
    expect(answer.text).toBe(theirs.choices[0]?.message.content);
    expect(answer.stages.length).toBeGreaterThan(0);
  });

  it("takes declared branches whole, and samples with the client's seed", async () => {
    const branches = ["Tokyo", "Cairo", "Oslo"].map((title) => ({
      title,
      content: `And ${title}?`,
    }));
    const fields = {
      ...ours({ branches, cache: "bypass" }),
      ...{ temperature: 1, seed: 11, max_tokens: 20 },
    };
    const [theirs, answer] = await Promise.all([ask(direct, fields), ask(through, fields)]);
    expect(answer.choices).toEqual(theirs.choices);
    expect(answer.usage?.completion_tokens).toBe(theirs.usage?.completion_tokens);
  });

  const parameters = { type: "object", properties: { a: { enum: ["x", "y"] } }, required: ["a"] };
  const tools = ["f", "g"].map((name) => ({ type: "function", function: { name, parameters } }));
  const calling = {
    ...{
      model: withTools,
      tools,
      tool_choice: "required",
      parallel_tool_calls: false,
      seed: 4,
      temperature: 1,
    },
    ...ours({ cache: "bypass" }),
  };
  const withoutIds = (message?: OpenAI.ChatCompletionMessage) =>
    message?.tool_calls?.map(({ id: _, ...call }) => call);

  it("calls tools as it does there, streamed too", async () => {
    const [theirs, answer] = await Promise.all([ask(direct, calling), ask(through, calling)]);
    const [choice] = answer.choices;
    expect(choice?.finish_reason).toBe("tool_calls");
    expect(withoutIds(choice?.message)).toEqual(withoutIds(theirs.choices[0]?.message));
    const stream = through.chat.completions.stream({
      ...{ messages: question, max_tokens: 200 },
      ...(calling as unknown as OpenAI.ChatCompletionCreateParamsStreaming),
    });
    const whole = await stream.finalChatCompletion();
    expect(withoutIds(whole.choices[0]?.message)).toMatchObject(withoutIds(choice?.message) ?? []);
    // The results of the calls, in the next turn.
    const calls = choice?.message.tool_calls ?? [];
    const results = calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "12" }));
    const messages = [...question, choice?.message, ...results];
    const next = await ask(through, { ...calling, tool_choice: "none", messages, max_tokens: 5 });
    expect(next.choices[0]?.finish_reason).toBe("length");
  });

  it("refuses tools where the model there has none", async () => {
    const refused = ask(through, { ...calling, model });
    await expect(refused).rejects.toMatchObject({ status: 400, param: "tools" });
  });

  it("passes the client's leaving on", async () => {
    const stream = await through.chat.completions.create({
      ...{ model, messages: question, max_tokens: 1_000, stream: true, ignore_eos: true },
      ...ours({ mode: "serial" }),
    });
    for await (const _ of stream) break;
    stream.controller.abort();
    await expect.poll(() => inner.busy(), { timeout: 10_000 }).toEqual([]);
    await expect
      .poll(async () => (await outer.usage(key)).incomplete.requests, { timeout: 10_000 })
      .toBe(1);
  });

  it("is changed by a command: what is given, and nothing else", async () => {
    const change = (...options: string[]) => admin(["upstreams", "change", "inner", ...options]);
    const url = `${inner.url}/v1`;
    const models = [model, withTools];
    expect(await change("--max-requests", "7", "--max-tokens", "50")).toMatchObject({
      ...{ url, models, max_requests: 7, default_max_tokens: 50 },
    });
    expect(await change("--max-requests", "none")).toMatchObject({ max_requests: null });
    await expect(change("--url", "http://127.0.0.1:9/v1")).rejects.toThrow(/credential/);
    await expect(change()).rejects.toThrow(/takes a setting to change/);
  });

  it("is gone once it is removed", async () => {
    expect(await admin(["upstreams", "list"])).toMatchObject({ upstreams: [{ id: "inner" }] });
    expect(await admin(["upstreams", "remove", "inner"])).toEqual({ id: "inner", removed: true });
    // An isolate looks at the pool anew after a moment.
    const status = () =>
      ask(through).then(
        () => 200,
        ({ status }) => status,
      );
    await expect.poll(status, { timeout: 5_000 }).toBe(404);
  });
});
