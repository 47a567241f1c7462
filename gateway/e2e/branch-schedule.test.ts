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

it("a request's limit holds branches back, and changes nothing of the answers", async () => {
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
  // Side by side: an answer's own branches are not what its limit holds back. How long a step takes depends on the
  // machine, so limits of all sizes are tried.
  for (let limit = 0.05; (await heldLanes()) === 0; limit *= 1.3) {
    expect(limit).toBeLessThan(1_000);
    const limited = { max_time_per_token_ms: limit };
    for (const { text, usage } of await Promise.all(
      Array.from({ length: 8 }, () => ask(limited)),
    )) {
      expect(text).toBe(free.text);
      expect(usage).toMatchObject({ completion_tokens: free.usage.completion_tokens });
    }
  }
}, 120_000);
