// What the real worker can't be made to do: streams that fail, and lanes, in the shapes of the other surfaces.
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Script } from "../../test/fake-script.ts";
import { bearer, call, makeKey, register } from "../../test/gateway-client.ts";

let key = "";
beforeAll(async () => {
  key = (await makeKey("messages")).key;
});
beforeEach(() => register(0));

const post = (path: string, body: object) =>
  call(path, { method: "POST", headers: bearer(key), body: JSON.stringify(body) });

const message = (script: Script, fields: object = {}) =>
  post("/v1/messages", {
    ...{ model: "fake", max_tokens: 100, ...fields },
    messages: [{ role: "user", content: JSON.stringify(script) }],
  });

const response = (script: Script, fields: object = {}) =>
  post("/v1/responses", { model: "fake", input: JSON.stringify(script), ...fields });

interface Named {
  type: string;
  [field: string]: unknown;
}

/** A stream's events, each under its own type. */
async function named(answer: Response): Promise<Named[]> {
  expect(answer.headers.get("content-type")).toMatch(/^text\/event-stream/);
  const events = (await answer.text()).split("\n\n").filter((text) => text.startsWith("event: "));
  return events.map((text) => {
    const [name = "", data = ""] = text.split("\n");
    const event = JSON.parse(data.replace(/^data: /, ""));
    expect(name).toBe(`event: ${event.type}`);
    return event;
  });
}

const lost: Script = { serial: "one two three four", dieOnceAt: 2, forgetful: true };
const stage = { serial: "Both: ", stage: { A: "a b ", B: "c d " }, tail: "So." };
const lanes = { stream: true, anabranch: { mode: "parallel", stream: "lanes" } };

describe("a message", () => {
  it("that fails ends with an error event", async () => {
    const events = await named(await message(lost, { stream: true }));
    expect(events.at(0)?.type).toBe("message_start");
    expect(events.at(-1)).toEqual({
      type: "error",
      error: { type: "api_error", message: expect.stringContaining("lost") },
    });
    const whole = await message(lost);
    expect(whole.status).toBe(502);
    expect(await whole.json()).toMatchObject({ type: "error", error: { type: "api_error" } });
  });

  it("that nobody can begin says so in the API's shape", async () => {
    const busy = await message({ refuse: "resource_exhausted" });
    expect(busy.status).toBe(503);
    expect(busy.headers.get("retry-after")).toBe("1");
    expect(await busy.json()).toMatchObject({ error: { type: "overloaded_error" } });
    const method = await call("/v1/messages", { headers: bearer(key) });
    expect(method.status).toBe(405);
    expect(await method.json()).toMatchObject({ type: "error" });
    const unknown = await call("/v1/messages/batches", { headers: bearer(key) });
    expect(await unknown.json()).toMatchObject({ error: { type: "not_found_error" } });
  });

  it("shows lanes in marks, and its text in order whole", async () => {
    const events = await named(await message(stage, lanes));
    const marks = events.flatMap(({ anabranch }) => anabranch ?? []) as { event: string }[];
    expect(marks.map(({ event }) => event)).toEqual(
      expect.arrayContaining(["stage_opened", "delta", "branch_closed", "stage_closed"]),
    );
    const whole = await (await message(stage, { anabranch: { mode: "parallel" } })).json();
    expect(whole).toMatchObject({
      content: [{ type: "text", text: "Both: a b c d So." }],
      anabranch: { parts: [{ serial: "Both: " }, { parallel: [{}, {}] }, { serial: "So." }] },
    });
  });

  it("has the classification that it asks for", async () => {
    const fields = { anabranch: { classification: true } };
    const judged = { anabranch: { classification: { mode: expect.any(String) } } };
    expect(await (await message(stage, fields)).json()).toMatchObject(judged);
    const events = await named(await message(stage, { ...fields, stream: true }));
    expect(events.at(-2)).toMatchObject({ type: "message_delta", ...judged });
  });
});

describe("a response", () => {
  it("that fails ends with an error event, and is not kept", async () => {
    const events = await named(await response(lost, { stream: true }));
    expect(events.at(-1)).toMatchObject({ type: "error", code: "worker_lost" });
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, i) => i));
    const [begun] = events as { response?: { id: string } }[];
    const kept = await call(`/v1/responses/${begun?.response?.id}`, { headers: bearer(key) });
    expect(kept.status).toBe(404);
    const whole = await response(lost);
    expect(whole.status).toBe(502);
    expect(await whole.json()).toMatchObject({ error: { code: "worker_lost" } });
  });

  it("of a lanes stream has its text in order at the end", async () => {
    const last = (await named(await response(stage, lanes))).at(-1);
    expect(last).toMatchObject({
      type: "response.completed",
      response: { output: [{ content: [{ text: "Both: a b c d So." }] }] },
    });
  });
});
