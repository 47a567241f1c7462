// Outlines of a stock model through the whole system: what is read, and who dies within it.
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { childProcesses } from "@anabranch/shared/child-processes.ts";
import OpenAI from "openai";
import { afterAll, beforeAll, expect, it } from "vitest";
import { root } from "../local/bundle.ts";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";

const demo = JSON.parse(readFileSync(join(root, "models/demo/demo.json"), "utf8")) as {
  model: string;
};
/** A small model seldom lists by itself: this answer shows it how. */
const walking = `Walking is good for you in several ways:

1. **Heart health**: A brisk walk every day makes the heart stronger, lowers blood pressure and keeps the arteries clear.

2. **Better mood**: Fresh air and movement calm the mind, and many people feel less worried after half an hour outside.

3. **Strong bones**: Each step puts a small load on hips and legs, which keeps the bones dense as people grow older.`;
const question = {
  ...{ model: "stock", temperature: 0, max_tokens: 400 },
  messages: [
    { role: "user" as const, content: "What are the benefits of walking?" },
    { role: "assistant" as const, content: walking },
    { role: "user" as const, content: "What are the benefits of music?" },
  ],
};
const anabranch = { mode: "parallel", cache: "bypass" };

interface Event {
  event: string;
  lane: number;
}
type Chunk = OpenAI.ChatCompletionChunk & { anabranch?: Event };

let cluster: TestCluster;
let worker: ChildProcess;
let openai: OpenAI;
beforeAll(async () => {
  cluster = await openTestCluster();
  const model = ["--model", demo.model, "--model-id", "stock", "--threads", "1"];
  worker = await cluster.addWorker("only", model);
  openai = new OpenAI({
    ...{ baseURL: `${cluster.url}/v1`, apiKey: await cluster.key("outlines"), maxRetries: 0 },
  });
}, 120_000);
afterAll(() => cluster.close());

/** All but what the prefix cache had. */
function countsOf(usage: OpenAI.CompletionUsage): Record<string, unknown> {
  const { anabranch = {} } = usage as { anabranch?: Record<string, unknown> };
  const { completion_tokens, prompt_tokens } = usage;
  return { ...anabranch, cached_tokens: undefined, completion_tokens, prompt_tokens };
}

/** The answer's events; the engine is killed when the first one of the kind `killAt` comes. */
async function lanes(killAt?: string) {
  const texts = new Map<number, string>();
  const events: string[] = [];
  let killed = false;
  const stream = await openai.chat.completions.create({
    ...{ ...question, stream: true as const, stream_options: { include_usage: true } },
    ...({ anabranch: { ...anabranch, stream: "lanes" } } as object),
  });
  let usage: Record<string, unknown> = {};
  for await (const chunk of stream as AsyncIterable<Chunk>) {
    const { event, lane = 0 } = chunk.anabranch ?? {};
    const text = chunk.choices[0]?.delta.content ?? "";
    texts.set(lane, (texts.get(lane) ?? "") + text);
    if (event !== undefined && event !== "delta") events.push(`${event} ${lane}`);
    if (event === killAt && killAt !== undefined && !killed) {
      killed = true;
      const [engine] = childProcesses(worker.pid ?? 0);
      if (engine === undefined) throw new Error("the worker has no engine");
      process.kill(engine, "SIGKILL");
    }
    if (chunk.usage) usage = countsOf(chunk.usage);
  }
  return { texts, events, usage, killed };
}

it("an engine that dies while branches are decoded or read changes nothing of an answer", async () => {
  const undisturbed = await lanes();
  expect(
    undisturbed.events.filter((event) => event.startsWith("branch_accepted")).length,
  ).toBeGreaterThan(1);
  for (const killAt of ["stage_opened", "branch_accepted"]) {
    const { killed, ...answer } = await lanes(killAt);
    expect(killed).toBe(true);
    expect(answer).toEqual({
      ...{ texts: undisturbed.texts, events: undisturbed.events, usage: undisturbed.usage },
    });
  }
}, 120_000);
