// The Python helper beside the openai package, against a real gateway: what it makes of an answer is what the client library
// does. It needs a Python with that package; ANABRANCH_PYTHON names one.
import { execFile, spawnSync } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { openTestCluster, type TestCluster } from "@anabranch/gateway/local/test-cluster.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { knownTemplate, TemplateModels } from "../../gateway/e2e/model-with-template.ts";
import { Anabranch } from "../src/index.ts";

const python = process.env.ANABRANCH_PYTHON ?? "python3";
const there = spawnSync(python, ["-c", "import openai"]).status === 0;
const model = "anabranch-small";
const content = "Describe Mercury, Earth and Mars. Give each its own section.";

describe.skipIf(!there)("the Python helper", () => {
  let cluster: TestCluster;
  const templates = new TemplateModels();
  beforeAll(async () => {
    cluster = await openTestCluster();
    await cluster.addWorker("python");
    const add = (id: string, template: string) => {
      const folder = templates.make(id, template);
      return cluster.addWorker(id, ["--model", folder, "--model-id", id, "--threads", "1"]);
    };
    const qwen = knownTemplate("qwen2.5.jinja");
    const thinking = `${qwen}{% if enable_thinking %}<think>\n{% else %}<think>\n\n</think>\n\n{% endif %}`;
    await Promise.all([add("thinker", thinking), add("with-tools", qwen)]);
  });
  afterAll(async () => {
    await cluster.close();
    templates.remove();
  });

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

    const ask = { messages, temperature: 0, max_tokens: 200 };
    const thought = await client.answer({
      ...{ ...ask, model: "thinker", chat_template_kwargs: { enable_thinking: true } },
    });
    expect(found.thinking.thoughts).toBe(thought.thoughts);
    expect(thought.thoughts).not.toBe("");
    expect(found.thinking.kinds).toContain("thought");
    const parameters = { type: "object", properties: { a: { enum: ["x", "y"] } }, required: ["a"] };
    const called = await client.answer({
      ...{ ...ask, model: "with-tools", tool_choice: "required", parallel_tool_calls: false },
      tools: [{ type: "function", function: { name: "f", parameters } }],
    });
    const withoutIds = (calls: readonly object[]) => calls.map((call) => ({ ...call, id: "" }));
    expect(called.toolCalls).toHaveLength(1);
    expect(withoutIds(found.calling.message.tool_calls)).toEqual(withoutIds(called.toolCalls));
    expect(found.calling.message.content).toBe(called.message.content);
    expect(found.calling.kinds).toContain("tool_call");
  });
});
