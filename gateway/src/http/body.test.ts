import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { bearer, call, chat, makeKey, register } from "../../test/gateway-client.ts";
import { ApiError } from "../api-error.ts";
import { checkBounds, jsonBounds } from "./json-bounds.ts";

let key = "";
beforeAll(async () => {
  key = (await makeKey("bodies")).key;
});
// Workers fall silent soon, so each test has one that was just heard from.
beforeEach(() => register(0));

const post = (body: BodyInit, headers: object = {}, path = "/v1/chat/completions") =>
  call(path, { method: "POST", headers: { ...bearer(key), ...headers }, body });

const list = (element: string, count: number) => `[${Array(count).fill(element).join(",")}]`;
const field = (name: string, value: string) => `{"model":"fake","messages":[],"${name}":${value}}`;
const content = (value: string) =>
  `{"model":"fake","messages":[{"role":"user","content":${value}}]}`;

const bytesOf = (text: string) => new TextEncoder().encode(text);
/** The code of the refusal, or null. */
function refused(text: string, bounds = jsonBounds): string | null {
  try {
    checkBounds(bytesOf(text), bounds);
    return null;
  } catch (error) {
    if (error instanceof ApiError) return error.message;
    throw error;
  }
}

describe("the bounds of a JSON text", () => {
  const small = { depth: 3, containers: 5, members: 3, values: 12 };

  it.each<[string, string | null]>([
    ["[[[1]]]", null],
    ["[[[[1]]]]", "nested"],
    ['"[[[[[["', null],
    ['{"a\\"[[[[":"\\\\","b":"\\"[[[["}', null],
    ["[[],[],[],[]]", null],
    ["[[],[],[],[],[]]", "arrays and objects"],
    ['{"a":1,"b":2,"c":3}', null],
    ['{"a":1,"b":2,"c":3,"d":4}', "fields"],
    ['[{"a":[1,2,3,4,5],"b":2}]', null],
    ["[1,2,3,4,5,6,7,8,9,0,1]", null],
    ["[1,2,3,4,5,6,7,8,9,0,1,2]", "values"],
    ["]]]]]]", null],
    ['"unended [[[[[', null],
    ['"\\', null],
  ])("of %s: %s", (text, what) => {
    if (what === null) expect(refused(text, small)).toBeNull();
    else expect(refused(text, small)).toContain(what);
  });

  it("hold for every valid JSON text as a parser counts it", () => {
    let state = 7;
    const random = (below: number) => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor((state / 2_147_483_648) * below);
    };
    const texts = ["", "[", '"', "\\", '\\"', "{,}", "ü", "}]"];
    const value = (depth: number): unknown => {
      const kind = random(depth > 0 ? 5 : 3);
      if (kind === 0) return random(1_000);
      if (kind === 1) return texts[random(texts.length)];
      if (kind === 2) return null;
      const items = Array.from({ length: random(5) }, () => value(depth - 1));
      if (kind === 3) return items;
      return Object.fromEntries(items.map((item, at) => [`${texts[at]}${at}`, item]));
    };
    const depthOf = (of: unknown): number =>
      typeof of === "object" && of !== null
        ? 1 + Math.max(0, ...Object.values(of).map(depthOf))
        : 0;
    const containersOf = (of: unknown): number =>
      typeof of === "object" && of !== null
        ? 1 + Object.values(of).reduce<number>((sum, each) => sum + containersOf(each), 0)
        : 0;
    const membersOf = (of: unknown): number =>
      typeof of === "object" && of !== null
        ? Math.max(
            Array.isArray(of) ? 0 : Object.keys(of).length,
            ...Object.values(of).map(membersOf),
          )
        : 0;
    for (let count = 0; count < 2_000; count++) {
      const made = value(5);
      const text = JSON.stringify(made, null, random(2));
      const bounds = { ...jsonBounds, depth: depthOf(made), containers: containersOf(made) };
      const members = Math.max(1, membersOf(made));
      expect(refused(text, { ...bounds, members })).toBeNull();
      if (bounds.depth === 0) continue;
      expect(refused(text, { ...bounds, depth: bounds.depth - 1 })).toContain("nested");
      const fewer = bounds.containers - 1;
      expect(refused(text, { ...bounds, containers: fewer })).toContain("arrays and objects");
      if (members < 2) continue;
      expect(refused(text, { ...bounds, members: members - 1 })).toContain("fields");
    }
  });
});

describe("a hostile body", () => {
  /** Each is as large as its kind allows; without bounds, most took seconds or the process down. */
  const hostile: [string, () => string][] = [
    ["of empty content parts", () => content(list("{}", 3_200_000))],
    ["of few enough empty content parts", () => content(list("{}", 99_000))],
    ["of empty messages", () => `{"model":"fake","messages":${list("{}", 130_000)}}`],
    ["of few enough empty messages", () => `{"model":"fake","messages":${list("{}", 99_000)}}`],
    ["of null messages", () => `{"model":"fake","messages":${list("null", 1_400_000)}}`],
    [
      "of valid messages",
      () => `{"model":"fake","messages":${list('{"role":"user","content":"x"}', 99_000)}}`,
    ],
    [
      "of empty parts of an answer",
      () =>
        `{"model":"fake","messages":[{"role":"assistant","content":"","anabranch":{"parts":${list("{}", 99_000)}}}]}`,
    ],
    ["of stop strings", () => field("stop", list('"a"', 1_400_000))],
    ["of empty stop strings", () => field("stop", list('""', 1_400_000))],
    [
      "of messages without content",
      () => `{"model":"fake","messages":${list('{"role":"user","content":[]}', 49_000)}}`,
    ],
    ["of wrong stop strings", () => field("stop", list("1", 1_400_000))],
    [
      "of wrong biases",
      () =>
        field(
          "logit_bias",
          `{${Array.from({ length: 9_000 }, (_, id) => `"x${id}":1`).join(",")}}`,
        ),
    ],
    [
      "of biases",
      () =>
        field(
          "logit_bias",
          `{${Array.from({ length: 500_000 }, (_, id) => `"${id}":1`).join(",")}}`,
        ),
    ],
    ["of nested arrays", () => field("metadata", "[".repeat(5_000_000) + "]".repeat(4_000_000))],
    ["of nested objects", () => field("metadata", '{"a":'.repeat(1_500_000))],
    ["of commas", () => ",".repeat(9_000_000)],
    ["of backslashes", () => `"${"\\".repeat(9_000_000)}"`],
    ["of escaped quotes", () => `"${'\\"'.repeat(4_000_000)}`],
  ];
  it.each(hostile)("%s is refused with 400", async (_, body) => {
    const response = await post(body());
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { type: "invalid_request_error" } });
  });

  it.each([
    ["token ids", () => list("1", 1_400_000)],
    ["wrong token ids", () => list("-1", 1_400_000)],
    ["prompts", () => list('"a"', 1_400_000)],
    ["prompts of token ids", () => list("[1]", 90_000)],
    ["mixed prompts", () => `["a",${list("1", 1_000_000)}]`],
  ])("of %s as a prompt is refused with 400", async (_, prompt) => {
    const body = `{"model":"fake","prompt":${prompt()}}`;
    expect((await post(body, {}, "/v1/completions")).status).toBe(400);
  });
});

describe("a request body", () => {
  it("is not decompressed, and the refusal says so", async () => {
    const body = new Uint8Array([0x1f, 0x8b, 8, 0]);
    const response = await post(body, { "content-encoding": "gzip" });
    expect(response.status).toBe(415);
    expect(await response.json()).toMatchObject({ error: { code: "unsupported_encoding" } });
  });

  it("that never comes ends the request", async () => {
    const response = await post(new ReadableStream<Uint8Array>());
    expect(response.status).toBe(408);
    expect(await response.json()).toMatchObject({ error: { code: "request_timeout" } });
  });
});

describe("a refused request", () => {
  it("counts against its key's requests", async () => {
    const limited = (await makeKey("refused", { rpm: 3 })).key;
    const headers = bearer(limited);
    const body = "{";
    const statuses: number[] = [];
    for (let count = 0; count < 5; count++) {
      const init = { method: "POST", headers, body };
      statuses.push((await call("/v1/chat/completions", init)).status);
    }
    expect(statuses).toEqual([400, 400, 400, 429, 429]);
    const refusal = await chat(limited, "hi", { max_tokens: 5 });
    expect(refusal.status).toBe(429);
    expect(Number(refusal.headers.get("retry-after"))).toBeGreaterThan(50);
  });
});
