import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import type { UpstreamScript } from "../../test/fake-script.ts";
import {
  adminHeaders,
  bearer,
  call,
  events,
  type MadeKey,
  makeKey,
} from "../../test/gateway-client.ts";
import { poolObject } from "../environment.ts";
import type { PoolObject } from "../pool/pool-object.ts";
import { forgetPool } from "../pool/pool-view.ts";

const admin = (path: string, method = "GET", body?: object) =>
  call(`/admin/v1${path}`, {
    ...{ method, headers: adminHeaders },
    ...(body && { body: JSON.stringify(body) }),
  });

const add = (fields: object = {}) =>
  admin("/upstreams", "POST", {
    ...{ id: "theirs", url: env.TEST_UPSTREAM.url, credential: env.TEST_UPSTREAM.credential },
    ...{ models: [{ id: "big", name: "their/model" }], ...fields },
  });

let key: MadeKey;
beforeEach(async () => {
  key = await makeKey("upstreams");
  expect((await add()).status).toBe(200);
  forgetPool();
});

/** A chat request whose last message is the upstream's script. */
function ask(script: UpstreamScript | string, fields: object = {}, path = "/v1/chat/completions") {
  const content = typeof script === "string" ? script : JSON.stringify(script);
  const prompt = path.endsWith("chat/completions")
    ? { messages: [{ role: "user", content }] }
    : { prompt: content };
  const body = JSON.stringify({ model: "big", ...prompt, ...fields });
  return call(path, { method: "POST", headers: bearer(key.key), body });
}

interface Completion {
  choices: {
    message: {
      content: string;
      tool_calls?: object[];
      anabranch: { parts: object[]; branches?: object[] };
    };
    finish_reason: string;
  }[];
  usage: { prompt_tokens: number; completion_tokens: number; prompt_tokens_details: object };
}
const whole = async (script: UpstreamScript | string, fields?: object) => {
  const response = await ask(script, fields);
  expect(response.status).toBe(200);
  return response.json<Completion>();
};

describe("llama.cpp's server", () => {
  it("is asked once what it lacks, and again when it was away", async () => {
    const server = new URL("/llama", env.TEST_UPSTREAM.url).href;
    const headers = { authorization: `Bearer ${env.TEST_UPSTREAM.credential}` };
    const told = async (what: string) => (await fetch(`${server}/${what}`, { headers })).text();
    const asked = async () => JSON.parse(await told("asked")).asked;
    const check = () => runInDurableObject(poolObject(env), (pool) => (pool as PoolObject).alarm());
    const before = await asked();
    const added = await add({ id: "llama", url: `${server}/v1`, models: null });
    expect(added.status).toBe(200);
    await check();
    await check();
    expect(await asked()).toBe(before + 1);
    const fields = { model: "llama", tools: [{ type: "function", function: { name: "f" } }] };
    forgetPool();
    expect(await (await ask("hi", fields)).json()).toMatchObject({ error: { param: "tools" } });
    await told("away");
    await check();
    await told("back");
    await check();
    await check();
    expect(await asked()).toBe(before + 2);
    await admin("/upstreams/llama", "DELETE");
  });
});

describe("an upstream", () => {
  it("is listed, without its credential, and served under the operator's name of its model", async () => {
    const shown = await (await admin("/upstreams")).text();
    expect(shown).not.toContain(env.TEST_UPSTREAM.credential);
    expect(JSON.parse(shown)).toMatchObject({
      upstreams: [{ id: "theirs", models: ["big"], error: null }],
    });
    const pool = await (await admin("/pool")).json();
    expect(pool).toMatchObject({
      workers: expect.arrayContaining([
        expect.objectContaining({ id: "theirs", kind: "upstream", healthy: true }),
      ]),
    });
    const model = await (await call("/v1/models/big", { headers: bearer(key.key) })).json();
    expect(model).toMatchObject({
      anabranch: { upstream: true, dialect: null, context_tokens: 8_192 },
    });
    const audit = await (await admin("/audit?limit=1")).text();
    expect(audit).toContain('"upstream.add"');
    expect(audit).not.toContain(env.TEST_UPSTREAM.credential);
  });

  it("answers like a worker, and its usage is the tenant's", async () => {
    const { choices, usage } = await whole("you");
    expect(choices).toMatchObject([
      { message: { content: "Answer to you" }, finish_reason: "stop" },
    ]);
    expect(usage).toMatchObject({
      ...{ prompt_tokens: 7, completion_tokens: 6, prompt_tokens_details: { cached_tokens: 4 } },
      anabranch: { steps: 6, branches: 0 },
    });
    const chunks = await events(
      await ask({ words: ["a", "b"], finish: "length" }, { stream: true }),
    );
    const text = chunks.map(
      (chunk) =>
        (chunk as { choices: { delta: { content?: string } }[] }).choices[0]?.delta.content ?? "",
    );
    expect(text.join("")).toBe("ab");
    expect(chunks.at(-1)).toMatchObject({ choices: [{ finish_reason: "length" }] });
    const totals = await (await call("/v1/usage", { headers: bearer(key.key) })).json();
    expect(totals).toMatchObject({ totals: { requests: 2, completion_tokens: 10 } });
  });

  it("is asked for what the client asked, in its own words", async () => {
    const fields = {
      ...{ temperature: 0.5, top_p: 0.9, top_k: 40, max_tokens: 11, stop: ["x"], seed: 3 },
      ...{ presence_penalty: 0.5, logit_bias: { "5": 1 }, logprobs: true, top_logprobs: 2 },
    };
    const { choices } = await whole({ saysBody: true }, fields);
    const body = JSON.parse(choices[0]?.message.content ?? "");
    expect(body).toMatchObject({
      ...{ model: "their/model", stream: true, stream_options: { include_usage: true } },
      ...{ top_k: 40, max_tokens: 11, stop: ["x"], seed: 3, presence_penalty: 0.5 },
      ...{ logit_bias: { "5": 1 }, logprobs: true, top_logprobs: 2 },
    });
    expect(body.temperature).toBeCloseTo(0.5);
    expect(body.top_p).toBeCloseTo(0.9);
    expect(body).not.toHaveProperty("anabranch");
    expect(body).not.toHaveProperty("min_p");
    const text = await ask({ saysBody: true }, {}, "/v1/completions");
    const answer = await text.json<{ choices: { text: string }[] }>();
    expect(JSON.parse(answer.choices[0]?.text ?? "")).toMatchObject({
      prompt: '{"saysBody":true}',
      max_tokens: 1_024,
    });
  });

  it("names the field of the client that it refuses", async () => {
    const refusing = (param: unknown) =>
      ask(
        { status: 400, error: { error: { message: "no", param } } },
        { max_completion_tokens: 9 },
      );
    const named = async (param: unknown) =>
      (await (await refusing(param)).json<{ error: { param: string } }>()).error.param;
    expect(await named("max_tokens")).toBe("max_completion_tokens");
    expect(await named("response_format.json_schema.schema")).toContain("response_format.json");
    expect(await named("what\nis this")).toBe("messages");
    expect(await named({})).toBe("messages");
  });

  it("is asked for a form where it knows it, and never without one that the client wants", async () => {
    const schema = { type: "object", properties: { a: { type: "null" } } };
    const response_format = { type: "json_schema", json_schema: { name: "x", schema } };
    const { choices } = await whole({ saysBody: true }, { response_format });
    expect(JSON.parse(choices[0]?.message.content ?? "")).toMatchObject({
      response_format: { type: "json_schema", json_schema: { schema } },
    });
    const refused: [object, string, string?][] = [
      [{ guided_regex: "a" }, "guided_regex"],
      [{ guided_choice: ["a"] }, "guided_choice"],
      [{ response_format }, "response_format", "/v1/completions"],
    ];
    for (const [fields, param, path] of refused) {
      const response = await ask("x", fields, path);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { param } });
    }
  });

  const bit = (index: number, name: string | undefined, given: string) => ({
    ...{ index, ...(name && { id: `theirs-${index}`, type: "function" }) },
    function: { ...(name && { name }), arguments: given },
  });
  const tools = ["f", "g"].map((name) => ({ type: "function", function: { name } }));
  const called: UpstreamScript = {
    words: ["I ", "look."],
    calls: [[bit(0, "f", "")], [bit(0, undefined, '{"a": "}')], [bit(0, undefined, '"}')]],
    finish: "tool_calls",
  };

  it("is asked for tools, and what it calls comes through, streamed too", async () => {
    const script = { ...called, calls: [...(called.calls ?? []), [bit(1, "g", "")]] };
    const { choices } = await whole(script, { tools });
    expect(choices).toMatchObject([
      {
        finish_reason: "tool_calls",
        message: {
          content: "I look.",
          tool_calls: [
            { type: "function", function: { name: "f", arguments: '{"a": "}"}' } },
            { type: "function", function: { name: "g", arguments: "{}" } },
          ],
        },
      },
    ]);
    const chunks = await events(await ask(script, { tools, stream: true }));
    const deltas = (chunks as { choices: { delta: { tool_calls?: object[] } }[] }[]).flatMap(
      (chunk) => chunk.choices[0]?.delta.tool_calls ?? [],
    );
    expect(deltas).toMatchObject(
      [
        { index: 0, id: /^\w{9}$/, type: "function", function: { name: "f", arguments: "" } },
        { index: 0, function: { arguments: '{"a": "}' } },
        { index: 0, function: { arguments: '"}' } },
        { index: 1, id: /^\w{9}$/, function: { name: "g", arguments: "" } },
        { index: 1, function: { arguments: "{}" } },
      ].map((delta) =>
        "id" in delta ? { ...delta, id: expect.stringMatching(delta.id as RegExp) } : delta,
      ),
    );
    expect(chunks.at(-1)).toMatchObject({ choices: [{ finish_reason: "tool_calls" }] });
  });

  it("ends a call that is cut, and fails where calls are mixed or missing", async () => {
    const [cut] = (await whole({ ...called, finish: "length" }, { tools })).choices;
    expect(cut).toMatchObject({
      finish_reason: "length",
      message: { tool_calls: [{ function: { arguments: '{"a": "}"}' } }] },
    });
    const mixed = { calls: [[bit(1, "g", "{")], [bit(0, "f", "{}")], [bit(1, undefined, "}")]] };
    expect((await ask(mixed, { tools })).status).toBe(502);
    const idle = await ask("no call", { tools, tool_choice: "required" });
    expect(idle.status).toBe(502);
    expect(await idle.json()).toMatchObject({ error: { code: "no_tool_call" } });
    // Without tools of the request nothing is a call, whatever marks the text has.
    const marks = '\u{fdd0}f"{}\u{fdd1}';
    expect((await whole({ words: [marks] })).choices[0]?.message).toMatchObject({ content: marks });
    const [said] = (await whole({ words: [marks] }, { tools })).choices;
    expect(said).toMatchObject({ finish_reason: "stop", message: { content: 'f"{}' } });
  });

  it("hears of the choice of tools, and of calls and results that were before", async () => {
    const tool_calls = [{ id: "c1", type: "function", function: { name: "f", arguments: "{}" } }];
    const messages = [
      { role: "user", content: "hi" },
      { role: "assistant", content: null, tool_calls },
      { role: "tool", content: "12", tool_call_id: "c1" },
      {
        role: "user",
        content: JSON.stringify({ saysBody: true, calls: [[bit(0, "f", "{}")]] }),
      },
    ];
    const said = async (fields: object) =>
      JSON.parse(
        (await whole("", { messages, tools, ...fields })).choices[0]?.message.content ?? "",
      );
    expect(await said({})).toMatchObject({
      messages,
      tools: tools.map(({ function: { name } }) => ({ type: "function", function: { name } })),
      tool_choice: "auto",
    });
    expect(await said({ tool_choice: "required", parallel_tool_calls: false })).toMatchObject({
      ...{ tool_choice: "required", parallel_tool_calls: false },
    });
    const tool_choice = { type: "function", function: { name: "g" } };
    expect(await said({ tool_choice })).toMatchObject({ tool_choice });
    expect(await said({ tool_choice: "none" })).not.toHaveProperty("tools");
  });

  it("that lacks tools and forms is not asked for them", async () => {
    const without = ["tools", "response_format"];
    expect(await (await add({ without })).json()).toMatchObject({ without });
    forgetPool();
    const response_format = { type: "json_object" };
    const refused: [object, string][] = [
      [{ tools }, "tools"],
      [{ messages: [{ role: "tool", content: "x", tool_call_id: "c" }] }, "tools"],
      [{ response_format }, "response_format"],
    ];
    for (const [fields, param] of refused) {
      const response = await ask("x", fields);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { param, code: "invalid_value" } });
    }
    expect((await ask("x", { tools, tool_choice: "none" })).status).toBe(200);
  });

  it("takes declared branches as requests of their own", async () => {
    const branches = [
      { title: "One", content: "first" },
      { title: "Two", content: JSON.stringify({ words: ["b", "c"], finish: "length" }) },
    ];
    const { choices, usage } = await whole("shared", { anabranch: { branches } });
    expect(choices[0]?.message.anabranch).toMatchObject({
      parts: [
        {
          parallel: [
            { title: "One", body: "Answer to first" },
            { title: "Two", body: "bc" },
          ],
        },
      ],
      branches: [{ finish_reason: "stop" }, { finish_reason: "length" }],
    });
    expect(usage).toMatchObject({
      prompt_tokens: 14,
      completion_tokens: 10,
      anabranch: { branches: 2, steps: 6 },
    });
  });

  it("is served from the cache, until it is added anew", async () => {
    const fields = { temperature: 0 };
    const state = async () => {
      const response = await ask("cached", fields);
      await response.text();
      return response.headers.get("x-anabranch-cache");
    };
    expect([await state(), await state()]).toEqual(["miss", "hit"]);
    await add();
    forgetPool();
    expect(await state()).toBe("miss");
  });

  it.each([
    [400, { error: { message: "temperature is odd" } }, 400, "temperature is odd"],
    [
      400,
      { error: { message: "This model's maximum context length is 5" } },
      400,
      "maximum context",
    ],
    [422, { detail: "unprocessable" }, 400, "unprocessable"],
    [429, { error: { message: "slow down" } }, 503, "overloaded"],
    [401, { error: { message: "their secret key abc is wrong" } }, 503, "can be reached"],
  ])("refuses with %i %j: the client gets %i", async (status, error, expected, message) => {
    const response = await ask({ status, error, headers: { "retry-after": "9" } });
    expect(response.status).toBe(expected);
    const text = await response.text();
    expect(text).toContain(message);
    expect(text).not.toContain("secret");
    if (status === 429) expect(response.headers.get("retry-after")).toBe("9");
  });

  it("that breaks off is asked again, and what the client has is not sent twice", async () => {
    const words = ["a ", "b ", "c"];
    const { choices } = await whole({ words, dieAt: 2, dies: 2 });
    expect(choices[0]?.message.content).toBe("a b c");
    const failed = await ask({ words, failAt: 1 });
    expect(failed.status).toBe(502);
    const chunks = await events(await ask({ words, dieAt: 1, dies: 9 }, { stream: true }));
    expect(chunks.at(-1)).toMatchObject({ error: { code: "worker_lost" } });
  });

  it("hears when its client leaves", async () => {
    const cut = async () => Number((await whole({ saysCut: true })).choices[0]?.message.content);
    const before = await cut();
    const response = await ask({ words: Array(400).fill("x "), stepMs: 20 }, { stream: true });
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    await expect.poll(cut, { timeout: 10_000 }).toBe(before + 1);
  });

  it("takes no more requests at once than its operator says", async () => {
    await add({ max_requests: 1 });
    forgetPool();
    const slow = await ask({ words: Array(100).fill("x "), stepMs: 20 }, { stream: true });
    const reader = slow.body?.getReader();
    await reader?.read();
    const second = await ask("hi");
    expect(second.status).toBe(503);
    expect(await second.json()).toMatchObject({ error: { code: "overloaded" } });
    await reader?.cancel();
  });

  it("that can't be used is not added, and says why", async () => {
    const refused = async (fields: object) => {
      const response = await add({ id: "other", ...fields });
      return [
        response.status,
        (await response.json<{ error: { message: string } }>()).error.message,
      ];
    };
    expect(await refused({ url: "http://127.0.0.1:1/v1" })).toEqual([
      422,
      expect.stringContaining("does not answer"),
    ]);
    expect(await refused({ credential: "wrong" })).toEqual([
      422,
      expect.stringContaining("status 401"),
    ]);
    const models = [{ id: "x", name: "missing" }];
    expect(await refused({ models })).toEqual([422, expect.stringContaining("it has their/model")]);
    expect(await refused({ url: "ftp://a" })).toEqual([400, expect.anything()]);
    expect(await refused({ url: "http://me:secret@a/v1" })).toEqual([400, expect.anything()]);
    expect(
      (await (await admin("/upstreams")).json<{ upstreams: object[] }>()).upstreams,
    ).toHaveLength(1);
  });

  it("is changed in what is given, and stays as it is where that can't be used", async () => {
    const change = async (fields: object, id = "theirs") => {
      const response = await admin(`/upstreams/${id}`, "PATCH", fields);
      return { status: response.status, ...(await response.json<Record<string, unknown>>()) };
    };
    const chosen = [{ id: "big", name: "their/model" }];
    expect(await change({ max_requests: 3, without: ["tools"] })).toMatchObject({
      ...{ status: 200, max_requests: 3, without: ["tools"], has_credential: true },
      ...{ models: ["big"], chosen, default_max_tokens: 1_024 },
    });
    expect(await change({ models: null })).toMatchObject({ chosen: null, max_requests: 3 });
    expect(await change({ credential: "wrong" })).toMatchObject({ status: 422 });
    expect(await change({ unknown: 1 })).toMatchObject({ status: 400 });
    expect(await change({}, "other")).toMatchObject({ status: 404 });
    const { upstreams } = await (await admin("/upstreams")).json<{ upstreams: object[] }>();
    expect(upstreams).toMatchObject([{ id: "theirs", error: null, has_credential: true }]);
    const audit = await (await admin("/audit?limit=1")).text();
    expect(audit).toContain('"upstream.change"');
    expect(audit).not.toContain(env.TEST_UPSTREAM.credential);
  });

  it("does not get its credential sent to another address", async () => {
    const url = `${env.TEST_UPSTREAM.url}/elsewhere`;
    const refused = await admin("/upstreams/theirs", "PATCH", { url });
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({ error: { param: "credential" } });
    // With another one it is asked, and has nothing there.
    const asked = await admin("/upstreams/theirs", "PATCH", { url, credential: "another" });
    expect(asked.status).toBe(422);
  });

  it("is gone once it is removed", async () => {
    expect((await admin("/upstreams/theirs", "DELETE")).status).toBe(200);
    expect((await admin("/upstreams/theirs", "DELETE")).status).toBe(404);
    forgetPool();
    expect((await ask("hi")).status).toBe(404);
  });
});
