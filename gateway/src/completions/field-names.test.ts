// Errors name the field that the client sent, in whichever API.
import { beforeAll, beforeEach, expect, it } from "vitest";
import type { Script } from "../../test/fake-script.ts";
import { bearer, call, makeKey, register } from "../../test/gateway-client.ts";

let key = "";
let poor = "";
beforeAll(async () => {
  key = (await makeKey("names")).key;
  poor = (await makeKey("names", { tpm: 5 })).key;
});
beforeEach(() => register(0));

const schema = { type: "object" };
const refusing = (message: string): Script => ({ refuse: "invalid_argument", message });
const user = (script: Script = {}) => ({ role: "user", content: JSON.stringify(script) });
const form = { type: "json_schema", json_schema: { name: "a", schema } };
const branches = [
  { title: "A", content: "a", response_format: form },
  { title: "B", content: "b" },
];

async function refused(path: string, body: object, by = key): Promise<[string | null, string]> {
  const init = {
    method: "POST",
    headers: bearer(by),
    body: JSON.stringify({ model: "fake", ...body }),
  };
  const { error } = (await (await call(`/v1/${path}`, init)).json()) as {
    error: { message: string; param?: string };
  };
  return [error.param ?? null, error.message];
}

const chat = (fields: object, script?: Script) =>
  ["chat/completions", { messages: [user(script)], ...fields }] as const;
const text = (fields: object, script: Script = {}) =>
  ["completions", { prompt: JSON.stringify(script), ...fields }] as const;
const response = (fields: object, script: Script = {}) =>
  ["responses", { input: JSON.stringify(script), ...fields }] as const;
const message = (fields: object, script?: Script) =>
  ["messages", { messages: [user(script)], max_tokens: 9, ...fields }] as const;
const branchRefused = (index: number) =>
  refusing(`anabranch.branches[${index}].response_format: no`);
const formRefused = refusing("response_format: #/properties: no");

it.each([
  ["max_tokens", chat({ max_tokens: 5_000 })],
  ["max_completion_tokens", chat({ max_completion_tokens: 5_000 })],
  ["max_completion_tokens", chat({ max_completion_tokens: 5_000, max_tokens: 1 })],
  ["max_output_tokens", response({ max_output_tokens: 5_000 })],
  ["response_format", chat({ response_format: form }, formRefused)],
  ["guided_json", chat({ guided_json: schema }, formRefused)],
  ["structured_outputs.json", text({ structured_outputs: { json: schema } }, formRefused)],
  [
    "structured_outputs.regex",
    text({ structured_outputs: { regex: "a" } }, refusing("guided_regex: no")),
  ],
  [
    "text.format",
    response({ text: { format: { type: "json_schema", name: "a", schema } } }, formRefused),
  ],
  ["prompt[1]", text({ prompt: ["{}", "a".repeat(300_000)] })],
  ["input", response({}, refusing("the template says no"))],
  ["guided_json", chat({ guided_json: schema, anabranch: { branches } }, branchRefused(1))],
  [
    "anabranch.branches[0].response_format",
    chat({ guided_json: schema, anabranch: { branches } }, branchRefused(0)),
  ],
  ["tools[1].name", response({ tools: [0, 1].map(() => ({ type: "function", name: "f" })) })],
  [
    "guided_choice",
    chat({ guided_choice: ["a"], tools: [{ type: "function", function: { name: "f" } }] }),
  ],
  [
    "anabranch.mode",
    response({ text: { format: { type: "json_object" } }, anabranch: { mode: "parallel" } }),
  ],
])("%s", async (field, [path, body]) => {
  const [param, message] = await refused(path, body);
  expect(param).toBe(field);
  const named = new RegExp(`(^|')${field.replaceAll(/[.[\]]/g, "\\$&")}('|:)|^The prompt|template`);
  expect(message).toMatch(named);
});

it("of Anthropic's API are in the message", async () => {
  const parts = { anabranch: { parts: [{ serial: "No." }] } };
  const answered = [user(), { role: "assistant", content: "Yes.", ...parts }, user()];
  const two = [0, 1].map(() => ({ name: "f", input_schema: schema }));
  const cases: [object, Script | undefined, RegExp][] = [
    [{ max_tokens: 5_000 }, undefined, /^'max_tokens'/],
    [
      { output_config: { format: { type: "json_schema", schema } } },
      formRefused,
      /^output_config\.format: #\/properties/,
    ],
    [{ tools: two }, undefined, /^'tools\[1\]\.name'/],
    [
      { tools: two.slice(1) },
      refusing("tools[0].function.parameters: #: no"),
      /^tools\[0\]\.input_schema: #/,
    ],
  ];
  for (const [fields, script, expected] of cases) {
    expect((await refused(...message(fields, script)))[1]).toMatch(expected);
  }
  // Messages of the chat are not those of the request.
  const [, said] = await refused(...message({ system: "Be brief.", messages: answered }));
  expect(said).toContain("'parts'");
});

it("are in what a limit says", async () => {
  expect((await refused(...chat({ max_tokens: 9 }), poor))[1]).toContain("Lower max_tokens or");
  expect((await refused(...chat({ max_completion_tokens: 9 }), poor))[1]).toContain(
    "Lower max_completion_tokens or",
  );
  expect((await refused(...response({}), poor))[1]).toContain("Lower max_output_tokens or");
});

it.each([
  ["anabranch.foo", chat({ anabranch: { foo: 1 } })],
  ["anabranch.foo", text({ anabranch: { foo: 1 } })],
  ["anabranch.foo", response({ anabranch: { foo: 1 } })],
  ["structured_outputs.grammar", chat({ structured_outputs: { grammar: "a" } })],
  [
    "anabranch.branches[0].max_tokens",
    chat({ anabranch: { branches: [{ ...branches[0], max_tokens: 1 }] } }),
  ],
])("an unknown %s is told by its path", async (field, [path, body]) => {
  const init = {
    method: "POST",
    headers: bearer(key),
    body: JSON.stringify({ model: "fake", ...body }),
  };
  const answer = await call(`/v1/${path}`, init);
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({
    error: { code: "unknown_parameter", param: field, message: `Unknown parameter: '${field}'.` },
  });
});

it.each([
  ...["suffix", "best_of", "max_output_tokens", "stop_sequences", "prompt", "system", "echo"].map(
    (name) => chat({ [name]: 5 }),
  ),
  ...["messages", "tools", "max_completion_tokens", "top_logprobs", "chat_template_kwargs"].map(
    (name) => text({ [name]: 5 }),
  ),
  ...["messages", "max_tokens", "stop", "n", "seed", "min_tokens", "response_format", "system"].map(
    (name) => response({ [name]: 5 }),
  ),
  ...["stop", "n", "seed", "logprobs", "guided_json", "input", "presence_penalty"].map((name) =>
    message({ [name]: 5 }),
  ),
  ...["guided_grammar", "structural_tag", "use_beam_search"].flatMap((name) => [
    ...[chat({ [name]: 5 }), text({ [name]: 5 }), response({ [name]: 5 }), message({ [name]: 5 })],
  ]),
])("a field of another API is refused by its name: %j", async (path, body) => {
  const [field = ""] = Object.keys(body).slice(-1);
  const [, said] = await refused(path, body);
  expect(said).toMatch(
    new RegExp(`^'${field}' is not supported( here: it is a field of [a-z, ]+)?\\.$`),
  );
});

it("fields that say nothing of the answer are taken in each", async () => {
  const fields = { user: "u", metadata: {}, store: false, stream_options: null };
  for (const [path, body] of [chat(fields), text(fields), response(fields), message(fields)]) {
    const init = {
      method: "POST",
      headers: bearer(key),
      body: JSON.stringify({ model: "fake", ...body }),
    };
    expect((await call(`/v1/${path}`, init)).status).toBe(200);
  }
});
