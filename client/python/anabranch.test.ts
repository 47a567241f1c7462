// The Python helper beside the openai package, against a real gateway: what it makes of an answer is what the client library
// does. It needs a Python with that package; ANABRANCH_PYTHON names one.
import { execFile, spawnSync } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { openTestCluster, type TestCluster } from "@anabranch/gateway/local/test-cluster.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Anabranch } from "../src/index.ts";

const python = process.env.ANABRANCH_PYTHON ?? "python3";
const there = spawnSync(python, ["-c", "import openai"]).status === 0;
const model = "anabranch-small";
const content = "Describe Mercury, Earth and Mars. Give each its own section.";

describe.skipIf(!there)("the Python helper", () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await openTestCluster();
    await cluster.addWorker("python");
  });
  afterAll(() => cluster.close());

  it("puts the same document together, and has declared branches by their names", async () => {
    const KEY = await cluster.key("python");
    const env = { ...process.env, GATEWAY: cluster.url, KEY, MODEL: model, QUESTION: content };
    const script = join(import.meta.dirname, "check.py");
    const found = JSON.parse((await promisify(execFile)(python, [script], { env })).stdout);
    const client = new Anabranch({ baseURL: cluster.url, apiKey: KEY });
    const messages = [{ role: "user" as const, content }];
    const answer = await client.answer({
      ...{ model, messages, temperature: 0, anabranch: { mode: "parallel" } },
    });
    expect(found.text).toBe(answer.text);
    expect(found.message).toEqual(answer.message);
    expect(found.kinds).toEqual(["branch_closed", "stage_closed", "stage_opened", "text"]);
    expect(found.finish_reason).toBe(answer.finishReason);
    expect(found.branches).toBe(answer.branches.size);
    expect(answer.branches.size).toBeGreaterThanOrEqual(2);

    const { first, second } = await client.ask({
      ...{ model, messages, temperature: 0, max_tokens: 20 },
      branches: { first: "Describe Mercury.", second: "Describe Mars." },
    });
    expect(found.declared).toEqual({ first: first.text, second: second.text });
    expect(found.streamed).toEqual(found.declared);
    expect(found.streamed_text).toBe(found.declared_text);
  });
});
