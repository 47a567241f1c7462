// A limit on the time per token, from the client to the engine of a worker that schedules by slack.
import OpenAI from "openai";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await openTestCluster();
  const small = ["--model", "models/small", "--threads", "1"];
  await cluster.addWorker("slack", [...small, "--branch-schedule", "slack"]);
}, 120_000);
afterAll(() => cluster.close());

async function heldLanes(): Promise<number> {
  const [row] = await cluster.pool();
  const text = await (await fetch(`${row?.url}/metrics`)).text();
  return Number(/^anabranch_held_lanes_total\S* (\d+)/m.exec(text)?.[1]);
}

it("a request's limit holds its branches back, and changes nothing of the answer", async () => {
  const apiKey = await cluster.key("acme");
  const openai = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey, maxRetries: 0 });
  const ask = async (limit: object) => {
    const { choices, usage } = await openai.chat.completions.create({
      ...{ model: "anabranch-small", max_tokens: 300, temperature: 0 },
      messages: [{ role: "user", content: "Describe Mercury, Earth and Mars." }],
      ...({ anabranch: { mode: "parallel", cache: "bypass", ...limit } } as object),
    });
    return { text: choices[0]?.message.content, usage: { ...usage, prompt_tokens_details: null } };
  };
  const free = await ask({});
  expect(await heldLanes()).toBe(0);
  const limited = await ask({ max_time_per_token_ms: 0.001 });
  expect(await heldLanes()).toBeGreaterThan(0);
  expect(limited.text).toBe(free.text);
  expect(limited.usage).toMatchObject({ completion_tokens: free.usage.completion_tokens });
}, 120_000);
