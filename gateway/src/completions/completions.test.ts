import { LaneAnswer, type LaneChunk } from "@anabranch/shared/lane-answer.ts";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { fakeModel } from "../../test/fake-script.ts";
import { bearer, call, chat, events, makeKey, register } from "../../test/gateway-client.ts";

let key = "";
beforeAll(async () => {
  key = (await makeKey("completions")).key;
});
// Workers fall silent soon, so each test has one that was just heard from.
beforeEach(() => register(0));

const post = (path: string, body: BodyInit) =>
  call(path, { method: "POST", headers: bearer(key), body });
const user = (content: unknown) => [{ role: "user", content }];

const given = (content: string, parts: unknown) => ({
  ...{ role: "assistant", content },
  anabranch: { parts },
});
/** Parts of "one two" that are not. */
const badParts: [string, unknown, string][] = [
  ["that are no list", "one two", "messages[1].anabranch.parts"],
  ["of no kind", [{ text: "one two" }], "messages[1].anabranch.parts[0].serial"],
  [
    "of two kinds",
    [{ serial: "one two", parallel: [{ title: "A", body: "" }] }],
    "messages[1].anabranch.parts[0]",
  ],
  ["with no branches", [{ parallel: [] }], "messages[1].anabranch.parts[0].parallel"],
  [
    "without a body",
    [{ parallel: [{ title: "A" }] }],
    "messages[1].anabranch.parts[0].parallel[0].body",
  ],
  ["that say less", [{ serial: "one " }], "messages[1].anabranch.parts"],
  ["that say nothing", [], "messages[1].anabranch.parts"],
  ["in another order", [{ serial: "two" }, { serial: "one " }], "messages[1].anabranch.parts"],
];

describe("bad input", () => {
  it.each<[string, object, number, string | null]>([
    ["no model", { messages: user("x") }, 400, "model"],
    ["a model that nobody has", { model: "none", messages: user("x") }, 404, "model"],
    ["a model of the wrong type", { model: 5, messages: user("x") }, 400, "model"],
    ["no messages", { model: "fake" }, 400, "messages"],
    ["empty messages", { model: "fake", messages: [] }, 400, "messages"],
    ["messages of the wrong type", { model: "fake", messages: "x" }, 400, "messages"],
    ["a null message", { model: "fake", messages: [null] }, 400, "messages[0]"],
    ["content of the wrong type", { model: "fake", messages: user(5) }, 400, "messages[0].content"],
    ["no content", { model: "fake", messages: [{ role: "user" }] }, 400, "messages[0].content"],
    ["no role", { model: "fake", messages: [{ content: "x" }] }, 400, "messages[0].role"],
    ...badParts.map(([name, parts, param]): [string, object, number, string] => [
      `parts ${name}`,
      { model: "fake", messages: [...user("x"), given("one two", parts), ...user("y")] },
      400,
      param,
    ]),
    [
      "a picture",
      { model: "fake", messages: user([{ type: "image_url", image_url: { url: "x" } }]) },
      400,
      "messages[0].content[0].type",
    ],
  ])("answers %s by its field", async (_, body, status, param) => {
    const response = await post("/v1/chat/completions", JSON.stringify(body));
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({
      error: { message: expect.any(String), type: "invalid_request_error", param },
    });
  });

  it.each<[object, string]>([
    [{ max_tokens: 0 }, "max_tokens"],
    [{ max_tokens: -5 }, "max_tokens"],
    [{ max_tokens: 1.5 }, "max_tokens"],
    [{ max_tokens: "5" }, "max_tokens"],
    [{ max_tokens: fakeModel.contextTokens + 1 }, "max_tokens"],
    [{ max_completion_tokens: 0 }, "max_completion_tokens"],
    [{ temperature: -1 }, "temperature"],
    [{ temperature: "hot" }, "temperature"],
    [{ top_p: 0 }, "top_p"],
    [{ n: 0 }, "n"],
    [{ n: 9 }, "n"],
    [{ n: 1.5 }, "n"],
    [{ seed: 0.5 }, "seed"],
    [{ stop: [1] }, "stop[0]"],
    [{ stop: ["a", "b", "c", "d", "e"] }, "stop"],
    [{ stream: "yes" }, "stream"],
    [{ stream_options: { include_usage: true } }, "stream_options"],
    [{ top_logprobs: 3 }, "top_logprobs"],
    [{ logprobs: true, top_logprobs: 21 }, "top_logprobs"],
    [{ logit_bias: { x: 1 } }, "logit_bias.x"],
    [{ logit_bias: { 1: 101 } }, "logit_bias.1"],
    [{ response_format: { type: "yaml" } }, "response_format.type"],
    [{ tools: [{ type: "function" }] }, "tools[0].function"],
    [{ functions: [{ name: "f" }] }, "functions"],
    [{ guided_grammar: "root ::= x" }, "guided_grammar"],
    [{ structured_outputs: { grammar: "root ::= x" } }, "structured_outputs.grammar"],
    [{ modalities: ["text", "audio"] }, "modalities[1]"],
    [{ tool_choice: "required" }, "tool_choice"],
    [{ anabranch: "parallel" }, "anabranch"],
    [{ anabranch: { mode: "fast" } }, "anabranch.mode"],
    [{ anabranch: { cache: "no" } }, "anabranch.cache"],
    [{ anabranch: { stream: "tree" } }, "anabranch.stream"],
    [{ anabranch: { max_branches: 0 } }, "anabranch.max_branches"],
    [{ anabranch: { max_time_per_token_ms: 0 } }, "anabranch.max_time_per_token_ms"],
    ...["", " ", "\u00a0\u200b", "a\tb", "a\u0000", "a\u2028b", "A ", "x".repeat(201)].map(
      (title): [object, string] => [
        { anabranch: { branches: ["A", title].map((each) => ({ title: each, content: "?" })) } },
        "anabranch.branches[1].title",
      ],
    ),
  ])("answers %j with 400, naming the field", async (fields, param) => {
    const response = await chat(key, "hi", fields);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { param, code: expect.any(String), type: "invalid_request_error" },
    });
  });

  it("takes as many tokens as the context has, and names it for more", async () => {
    const { contextTokens } = fakeModel;
    expect((await chat(key, "hi", { max_tokens: contextTokens })).status).toBe(200);
    const response = await chat(key, "hi", { max_completion_tokens: contextTokens + 1 });
    expect(await response.json()).toMatchObject({
      error: { message: expect.stringContaining(`maximum context length is ${contextTokens} `) },
    });
  });

  it("ignores fields that nobody knows, and nulls", async () => {
    const fields = { store: true, metadata: { a: "b" }, temperature: null, stop: null, tools: [] };
    expect((await chat(key, "hi", fields)).status).toBe(200);
  });

  it("refuses what is not JSON, not UTF-8, or not an object", async () => {
    const invalid = new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]);
    for (const [body, code] of [
      ["", "invalid_json"],
      ["{", "invalid_json"],
      [invalid, "invalid_utf8"],
    ] as const) {
      const response = await post("/v1/chat/completions", body);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { code } });
    }
    for (const body of ["[]", "5", "null", '"x"']) {
      expect((await post("/v1/chat/completions", body)).status).toBe(400);
    }
  });

  it("refuses a body of 10 MB by counting it, whatever it claims", async () => {
    const chunk = new Uint8Array(1_000_000).fill(0x20);
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent++ < 10) controller.enqueue(chunk);
        else controller.close();
      },
    });
    const response = await post("/v1/chat/completions", body);
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ error: { code: "request_too_large" } });
  });

  it("passes on what a worker refuses, naming the field", async () => {
    const long = { refuse: "out_of_range", message: "the prompt has 9000 tokens" } as const;
    const refused = await chat(key, long);
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({
      error: { param: "messages", code: "context_length_exceeded" },
    });
    const odd = { refuse: "invalid_argument", message: "logit_bias names token 99" } as const;
    expect(await (await chat(key, odd)).json()).toMatchObject({ error: { param: "logit_bias" } });
    const full = await chat(key, { refuse: "resource_exhausted" });
    expect(full.status).toBe(503);
    expect(full.headers.get("retry-after")).toBe("1");
  });

  it("refuses a prompt that can't fit without asking a worker", async () => {
    const response = await chat(key, "word ".repeat(100_000));
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { param: "messages", code: "context_length_exceeded" },
    });
  });

  it("answers an unknown path in the same shape", async () => {
    const response = await call("/v1/embeddings");
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: "unknown_url" } });
  });
});

describe("a chat completion", () => {
  const script = { serial: "Once ", stage: { A: "a b c ", B: "d e " }, tail: "end." };

  it("streams chunks that each have one choice, then usage, then [DONE]", async () => {
    const stream_options = { include_usage: true };
    const anabranch = { mode: "parallel", stream: "lanes" };
    const response = await chat(key, script, { stream: true, stream_options, anabranch });
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    const chunks = await events(response);
    const usage = chunks.pop();
    expect(usage).toMatchObject({ choices: [], usage: { anabranch: { branches: 2 } } });
    for (const chunk of chunks) {
      expect(chunk).toMatchObject({
        object: "chat.completion.chunk",
        usage: null,
        choices: [{ index: 0, delta: expect.any(Object) }],
        anabranch: { event: expect.any(String), lane: expect.any(Number) },
      });
    }
    expect(chunks[0]).toMatchObject({ choices: [{ delta: { role: "assistant", content: "" } }] });
    expect(chunks.at(-1)).toMatchObject({ choices: [{ delta: {}, finish_reason: "stop" }] });
  });

  it("opens no branch in serial mode, and says the same", async () => {
    const texts: string[] = [];
    for (const mode of ["serial", "parallel"]) {
      const response = await chat(key, script, { anabranch: { mode } });
      expect(response.headers.get("x-anabranch-mode")).toBe(mode);
      const body = await response.json<{
        choices: { message: { content: string } }[];
        usage: { anabranch: { branches: number } };
      }>();
      expect(body.usage.anabranch.branches).toBe(mode === "serial" ? 0 : 2);
      texts.push(body.choices[0]?.message.content ?? "");
    }
    expect(texts).toEqual(["Once a b c d e end.", "Once a b c d e end."]);
  });

  it("of a model without markers may branch in any chat, and in plain text on request", async () => {
    await register(0, {}, "stock", { ...fakeModel, id: "stock", dialect: "outline" });
    for (const [mode, decided] of [
      ["auto", "parallel"],
      ["serial", "serial"],
      ["parallel", "parallel"],
    ]) {
      const fields = { model: "stock", anabranch: { mode, cache: "bypass" } };
      const response = await chat(key, script, fields);
      expect(response.headers.get("x-anabranch-mode"), await response.text()).toBe(decided);
    }
    for (const [mode, decided] of [
      ["auto", "serial"],
      ["parallel", "parallel"],
    ]) {
      const body = { model: "stock", prompt: JSON.stringify(script), anabranch: { mode } };
      const response = await call("/v1/completions", {
        ...{ method: "POST", headers: bearer(key), body: JSON.stringify(body) },
      });
      expect(response.headers.get("x-anabranch-mode"), await response.text()).toBe(decided);
    }
  });

  it("takes a model's own threshold for auto, and says so", async () => {
    await register(0, {}, "fake-0", { ...fakeModel, id: "never", autoThreshold: 1 });
    await register(1, {}, "fake-1", { ...fakeModel, id: "always", autoThreshold: 0 });
    const options = { mode: "auto", cache: "bypass", classification: true };
    for (const [model, mode] of [
      ["never", "serial"],
      ["always", "parallel"],
    ] as const) {
      for (const question of ["Define soil.", "What are five tips for sailing?"]) {
        const response = await chat(key, question, { model, anabranch: options });
        expect(response.headers.get("x-anabranch-mode")).toBe(mode);
        expect(await response.json()).toMatchObject({ anabranch: { classification: { mode } } });
      }
    }
  });

  it("samples as the request says, then as the model's authors do, then neutrally", async () => {
    const says = async (model: string, fields: object) => {
      const response = await chat(key, { saysSampling: true }, { model, ...fields });
      const { choices } = await response.json<{ choices: { message: { content: string } }[] }>();
      return JSON.parse(choices[0]?.message.content ?? "");
    };
    const samplingDefaults = {
      ...{ temperature: 0.5, topP: 0.75, topK: 20, minP: 0.25, repetitionPenalty: 1.5 },
    };
    await register(1, {}, "fake-1", { ...fakeModel, id: "tuned", samplingDefaults });
    expect(await says("tuned", {})).toMatchObject(samplingDefaults);
    const given = { temperature: 0, top_p: 1, top_k: -1, min_p: 0, repetition_penalty: 1 };
    expect(await says("tuned", given)).toMatchObject({
      ...{ temperature: 0, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1 },
    });
    expect(await says("fake", { top_p: 0.5 })).toMatchObject({
      ...{ temperature: 1, topP: 0.5, topK: 0, minP: 0, repetitionPenalty: 1 },
    });
  });

  it("reports log-probabilities in document order", async () => {
    const response = await chat(key, script, { logprobs: true, top_logprobs: 1 });
    const { choices } = await response.json<{
      choices: { logprobs: { content: { token: string; bytes: number[] }[] } }[];
    }>();
    const tokens = choices[0]?.logprobs.content ?? [];
    expect(tokens.map(({ token }) => token).join("")).toBe("Once a b c d e end.");
    expect(tokens[0]).toEqual({
      token: "Once ",
      logprob: -0.5,
      bytes: [79, 110, 99, 101, 32],
      top_logprobs: [{ token: "Once ", logprob: -0.5, bytes: [79, 110, 99, 101, 32] }],
    });
  });

  it("continues with the same text if a worker is lost and there is another", async () => {
    for (let step = 0; step < 11; step++) {
      await register(0);
      for (const stream of ["ordered", "lanes"]) {
        const anabranch = { mode: "parallel", stream };
        const fields = { stream: true, stream_options: { include_usage: true }, anabranch };
        const chunks = await events(await chat(key, { ...script, dieOnceAt: step }, fields));
        const answer = new LaneAnswer();
        for (const chunk of chunks) answer.push(chunk as unknown as LaneChunk);
        expect(answer.text, `${stream}, lost before step ${step}`).toBe("Once a b c d e end.");
        expect(chunks.at(-1)).toMatchObject({
          usage: { completion_tokens: 13, anabranch: { branches: 2, visible_tokens: 7 } },
        });
      }
    }
  });

  it("continues elsewhere if a worker says nothing more, not even that it lives", async () => {
    // The pool wants to hear from a worker.
    const heartbeats = setInterval(() => register(0), 1_000);
    const anabranch = { mode: "parallel" };
    const response = await chat(key, { ...script, hangOnceAt: 4 }, { stream: true, anabranch });
    const answer = new LaneAnswer();
    for (const chunk of await events(response)) answer.push(chunk as unknown as LaneChunk);
    clearInterval(heartbeats);
    expect(answer.text).toBe("Once a b c d e end.");
  }, 30_000);

  it("ends with an error event if the answer would continue differently", async () => {
    const odd = { serial: "a b c d", dieOnceAt: 2, forgetful: true };
    const chunks = await events(await chat(key, odd, { stream: true }));
    expect(chunks.at(-1)).toMatchObject({ error: { code: "worker_lost" } });
  });

  it("ends with an error event, not a cut stream, if the worker is lost", async () => {
    const response = await chat(key, { serial: "a b c", dieAt: 2 }, { stream: true });
    expect(response.status).toBe(200);
    expect((await events(response)).at(-1)).toMatchObject({ error: { type: "server_error" } });
  });

  it("answers with a status if the worker is lost before anything was sent", async () => {
    expect((await chat(key, { serial: "a b c", dieAt: 2 })).status).toBe(502);
  });

  it("writes keep-alive comments into silence", async () => {
    const response = await chat(key, { serial: "late", silentMs: 1_600 }, { stream: true });
    const comments = (await response.text()).match(/^: keep-alive$/gm) ?? [];
    expect(comments.length).toBeGreaterThanOrEqual(1);
  });
});

describe("several choices", () => {
  const script = { serial: "Once ", stage: { A: "a b c ", B: "d e " }, tail: "end." };
  const said = "Once a b c d e end.";
  const n = 3;
  const everyChoice = (one: object) => Array.from({ length: n }, (_, index) => ({ index, ...one }));

  it("share one body and one prompt", async () => {
    const fields = { n, logprobs: true, anabranch: { mode: "parallel" } };
    const body = await (await chat(key, script, fields)).json<{
      choices: { logprobs: { content: { token: string }[] } }[];
      usage: { prompt_tokens: number };
    }>();
    const one = { message: { role: "assistant", content: said }, finish_reason: "stop" };
    expect(body.choices).toMatchObject(everyChoice(one));
    for (const { logprobs } of body.choices) {
      expect(logprobs.content.map(({ token }) => token).join("")).toBe(said);
    }
    const single = await (await chat(key, script, { ...fields, n: 1 })).json<{
      usage: { prompt_tokens: number };
    }>();
    expect(body.usage.prompt_tokens).toBe(single.usage.prompt_tokens);
    expect(body.usage).toMatchObject({
      completion_tokens: n * 13,
      total_tokens: body.usage.prompt_tokens + n * 13,
      anabranch: { stages: n, branches: n * 2, visible_tokens: n * 7 },
    });
  });

  it.each(["ordered", "lanes"])("stream side by side, a chunk for each (%s)", async (stream) => {
    const anabranch = { mode: "parallel", stream };
    const stream_options = { include_usage: true };
    const chunks = await events(
      await chat(key, script, { n, stream: true, stream_options, anabranch }),
    );
    expect(chunks.pop()).toMatchObject({ choices: [], usage: { completion_tokens: n * 13 } });
    const indices = chunks.map(({ choices }) => {
      expect(choices).toHaveLength(1);
      return (choices as { index: number }[])[0]?.index;
    });
    for (let index = 0; index < n; index++) {
      const mine = chunks.filter((_, at) => indices[at] === index);
      expect(mine[0]).toMatchObject({ choices: [{ delta: { role: "assistant" } }] });
      expect(mine.at(-1)).toMatchObject({ choices: [{ finish_reason: "stop" }] });
      const answer = new LaneAnswer(index);
      for (const chunk of chunks) answer.push(chunk as unknown as LaneChunk);
      expect(answer.text).toBe(said);
      expect(answer.stages).toHaveLength(stream === "lanes" ? 1 : 0);
    }
  });

  it("each continue if their worker is lost", async () => {
    const fields = { n, stream: true, anabranch: { mode: "parallel", stream: "lanes" } };
    for (let step = 0; step < 11; step += 2) {
      await register(0);
      const chunks = await events(await chat(key, { ...script, dieOnceAt: step }, fields));
      for (let index = 0; index < n; index++) {
        const answer = new LaneAnswer(index);
        for (const chunk of chunks) answer.push(chunk as unknown as LaneChunk);
        expect(answer.text, `choice ${index}, lost before step ${step}`).toBe(said);
      }
    }
  });

  it("end together with one error if one of them fails", async () => {
    const fields = { n, stream: true };
    const failed = { serial: "a b c", dieAt: 2, diesAlone: 1 };
    const chunks = await events(await chat(key, failed, fields));
    expect(chunks.filter((chunk) => "error" in chunk)).toHaveLength(1);
    expect(chunks.at(-1)).toMatchObject({ error: { code: "worker_lost" } });
    expect((await chat(key, failed, { n })).status).toBe(502);
  });

  it("are refused together", async () => {
    const refused = await chat(key, { refuse: "resource_exhausted" }, { n });
    expect(refused.status).toBe(503);
  });

  it("continue a text, each from its own beginning", async () => {
    const body = JSON.stringify({ model: "fake", prompt: "Say:", logprobs: 1, n: 2 });
    const answer = await (await post("/v1/completions", body)).json();
    const one = { text: "Hello, world. Bye.", logprobs: { text_offset: [0, 7, 14] } };
    expect(answer).toMatchObject({
      choices: [
        { index: 0, ...one },
        { index: 1, ...one },
      ],
      usage: { prompt_tokens: 1, completion_tokens: 6 },
    });
  });
});

describe("the parts of an answer", () => {
  it("are its content in document order, with its structure", async () => {
    const script = { serial: "Once ", stage: { A: "a b c ", B: "d e " }, tail: "end." };
    for (const mode of ["parallel", "serial"]) {
      const response = await chat(key, script, { anabranch: { mode } });
      const parallel = [
        { title: "A", body: "a b c " },
        { title: "B", body: "d e " },
      ];
      const content = "Once a b c d e end.";
      const parts =
        mode === "serial"
          ? [{ serial: content }]
          : [{ serial: "Once " }, { parallel }, { serial: "end." }];
      const { choices } = await response.json<{ choices: object[] }>();
      expect(choices[0]).toMatchObject({ message: { content, anabranch: { parts } } });
    }
  });

  it("leave out what follows a stop string", async () => {
    const script = { serial: "Once ", stage: { A: "a b c ", B: "d e " }, stopLane: 1 };
    const response = await chat(key, script, { anabranch: { mode: "parallel" } });
    const parts = [{ serial: "Once " }, { parallel: [{ title: "A", body: "a b c " }] }];
    expect(await response.json()).toMatchObject({
      choices: [{ message: { content: "Once a b c ", anabranch: { parts } } }],
    });
  });

  it("may be given back, with content in text parts too", async () => {
    const parts = [{ serial: "one " }, { parallel: [{ title: "A", body: "two" }] }];
    const content = ["one ", "two"].map((text) => ({ type: "text", text }));
    const messages = [
      ...user("x"),
      { role: "assistant", content, refusal: null, anabranch: { parts } },
      ...user("y"),
    ];
    const body = JSON.stringify({ model: "fake", messages });
    expect((await post("/v1/chat/completions", body)).status).toBe(200);
  });
});

it("a stream has no line breaks but those of its events, whatever the text", async () => {
  const { key } = await makeKey("lines");
  const serial = "one\u2028two\u2029three\u0085four\nfive";
  const response = await chat(key, { serial }, { stream: true });
  const text = await response.text();
  expect(text).not.toMatch(/[\u2028\u2029\u0085\r]/);
  const said = text
    .split("\n")
    .filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice(6)).choices[0].delta.content ?? "");
  expect(said.join("")).toBe(serial);
});

describe("a text completion", () => {
  it("continues a text", async () => {
    const body = JSON.stringify({ model: "fake", prompt: "Say:", logprobs: 1 });
    const response = await post("/v1/completions", body);
    expect(await response.json()).toMatchObject({
      object: "text_completion",
      choices: [
        {
          text: "Hello, world. Bye.",
          finish_reason: "stop",
          logprobs: { tokens: ["Hello, ", "world. ", "Bye."], text_offset: [0, 7, 14] },
        },
      ],
      usage: { prompt_tokens: 1, completion_tokens: 3 },
    });
  });

  it("streams", async () => {
    const body = JSON.stringify({ model: "fake", prompt: ["Say:"], stream: true });
    const chunks = await events(await post("/v1/completions", body));
    const texts = chunks.map(({ choices }) => (choices as { text: string }[])[0]?.text);
    expect(texts.join("")).toBe("Hello, world. Bye.");
    expect(chunks.at(-1)).toMatchObject({ choices: [{ finish_reason: "stop" }] });
  });

  it.each<[object, string]>([
    [{}, "prompt"],
    [{ prompt: "" }, "prompt"],
    [{ prompt: [] }, "prompt"],
    [{ prompt: ["a", ""] }, "prompt[1]"],
    [{ prompt: ["a", [1]] }, "prompt[1]"],
    [{ prompt: Array.from({ length: 33 }, () => "a"), n: 4 }, "prompt"],
    [{ prompt: "x", echo: true, anabranch: { stream: "lanes" } }, "echo"],
    [{ prompt: "x", best_of: 3 }, "best_of"],
    [{ prompt: "x", suffix: "y" }, "suffix"],
    [{ prompt: "x", prompt_logprobs: 0 }, "prompt_logprobs"],
    [{ prompt: "x", anabranch: { mod: "serial" } }, "anabranch.mod"],
    [{ prompt: "x", max_tokens: 0 }, "max_tokens"],
    [{ prompt: "x", min_tokens: 5, max_tokens: 4 }, "min_tokens"],
    [{ prompt: "x", min_tokens: 5, guided_regex: "a" }, "min_tokens"],
    [{ prompt: "x", min_tokens: 5, anabranch: { mode: "parallel" } }, "min_tokens"],
  ])("answers %j with 400, naming the field", async (fields, param) => {
    const body = JSON.stringify({ model: "fake", ...fields });
    const response = await post("/v1/completions", body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { param } });
  });

  it.each<[object, string]>([
    [{ prompt: Array(129).fill("a") }, "'prompt': at most 128"],
    [{ prompt: 5 }, "'prompt': expected string or array"],
    [{ prompt: "x", stop: ["a", "b", "c", "d", "e"] }, "'stop': at most 4"],
    [{ prompt: "x", stop: 5 }, "'stop': expected string or array"],
    [{ prompt: "x", logit_bias: { foo: 1 } }, "keys are token ids"],
  ])("says what may stand there instead of that in %j", async (fields, text) => {
    const response = await post("/v1/completions", JSON.stringify({ model: "fake", ...fields }));
    expect(JSON.stringify(await response.json())).toContain(text);
  });
});

describe("the OpenAPI document", () => {
  it("describes every route", async () => {
    const document = await (await call("/openapi.json")).json<{
      paths: object;
      components: { schemas: Record<string, unknown> };
    }>();
    expect(document.components.schemas).toMatchObject({
      AnswerPart: { anyOf: [{ required: ["serial"] }, { required: ["parallel"] }] },
      ChatCompletionRequest: { properties: { n: { maximum: 8 } } },
    });
    expect(Object.keys(document.paths).sort()).toEqual([
      "/admin/v1/audit",
      "/admin/v1/cache",
      "/admin/v1/drain",
      "/admin/v1/keys",
      "/admin/v1/keys/{id}",
      "/admin/v1/keys/{id}/rotate",
      "/admin/v1/operators",
      "/admin/v1/operators/{id}",
      "/admin/v1/pool",
      "/admin/v1/pool/{id}/drain",
      "/admin/v1/prices",
      "/admin/v1/sign-in",
      "/admin/v1/tenants",
      "/admin/v1/tenants/{id}",
      "/admin/v1/upstreams",
      "/admin/v1/upstreams/{id}",
      "/admin/v1/usage",
      "/health",
      "/sign-in",
      "/v1/chat/completions",
      "/v1/classify",
      "/v1/completions",
      "/v1/detokenize",
      "/v1/messages",
      "/v1/messages/count_tokens",
      "/v1/models",
      "/v1/models/{model}",
      "/v1/responses",
      "/v1/responses/{id}",
      "/v1/tokenize",
      "/v1/usage",
    ]);
  });
});
