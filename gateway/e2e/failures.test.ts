// Processes that die and clients that leave: what the others notice of it.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { childProcesses, runs } from "@anabranch/shared/child-processes.ts";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../local/bundle.ts";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";

const model = "anabranch-small";
const generation = JSON.parse(
  readFileSync(join(root, "models/small/generation_config.json"), "utf8"),
) as { eos_token_id: number | number[] };
/** With its bias no answer ends by itself. */
const question = {
  ...{ model, temperature: 1, seed: 3, max_tokens: 600 },
  messages: [{ role: "user" as const, content: "Describe Mercury, Earth and Mars." }],
  logit_bias: Object.fromEntries([generation.eos_token_id].flat().map((id) => [id, -100])),
  ...({ anabranch: { mode: "serial", cache: "bypass" } } as object),
};

let cluster: TestCluster;
let worker: ChildProcess;
beforeAll(async () => {
  cluster = await openTestCluster();
  worker = await cluster.addWorker("only");
}, 120_000);
afterAll(() => cluster.close());

async function client(tenant: string): Promise<OpenAI> {
  const apiKey = await cluster.key(tenant);
  return new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey, maxRetries: 0 });
}

const engineOf = ({ pid = 0 }: ChildProcess) => childProcesses(pid)[0];

/** Kills the worker's engine and resolves when it is gone. */
async function killEngine(): Promise<number> {
  const engine = engineOf(worker);
  if (engine === undefined) throw new Error("the worker has no engine");
  process.kill(engine, "SIGKILL");
  await expect.poll(() => runs(engine)).toBe(false);
  return engine;
}

/** Kills the engine, and the next one while it loads. */
async function killTwo(): Promise<void> {
  const first = await killEngine();
  const options = { timeout: 10_000, interval: 5 };
  await expect
    .poll(() => engineOf(worker), options)
    .toSatisfy((pid) => pid !== undefined && pid !== first);
  await killEngine();
}

describe("an engine that dies, and dies again while it restarts", () => {
  it("ends no stream: it continues to the same end", async () => {
    const openai = await client("streams");
    const undisturbed = await openai.chat.completions.create(question);
    const stream = await openai.chat.completions.create({ ...question, stream: true });
    let text = "";
    let chunks = 0;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      if (++chunks === 3) await killTwo();
    }
    expect(text).toBe(undisturbed.choices[0]?.message.content);
  }, 120_000);

  it("keeps its models listed, and new requests wait for the next engine", async () => {
    const openai = await client("waiting");
    await killTwo();
    const { data } = await openai.models.list();
    expect(data.map(({ id }) => id)).toEqual([model]);
    const answer = await openai.chat.completions.create({ ...question, max_tokens: 4 });
    expect(answer.choices[0]?.finish_reason).toBe("length");
  }, 120_000);
});

/** A connection to the gateway, and all that it answers until it ends. */
async function exchange(send: (path: string) => string, end: boolean): Promise<string> {
  const { hostname, port } = new URL(cluster.url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  await once(socket, "connect");
  socket.write(send(`POST /v1/chat/completions HTTP/1.1\r\nHost: ${hostname}\r\n`));
  if (end) socket.end();
  let text = "";
  socket.setEncoding("utf8").on("data", (more) => {
    text += more;
  });
  await new Promise((ended) => socket.on("close", ended).on("end", () => socket.destroy()));
  return text;
}

describe("a client that leaves", () => {
  it("ends an answer that is not streamed, in the engine and in usage", async () => {
    const openai = await client("leaving");
    const left = new AbortController();
    // Left alone it takes seconds.
    const answer = openai.chat.completions.create(
      { ...question, max_tokens: 900 },
      { signal: left.signal },
    );
    await expect.poll(() => cluster.busy(), { timeout: 10_000 }).toEqual(["only"]);
    left.abort();
    await expect(answer).rejects.toThrow();
    await expect
      .poll(async () => (await cluster.pool())[0]?.kv, { timeout: 1_000, interval: 20 })
      .toSatisfy(({ free, total }) => free === total);
    const usage = () => cluster.usage(openai.apiKey as string);
    await expect
      .poll(usage, { timeout: 10_000 })
      .toMatchObject({ requests: 0, incomplete: { requests: 1 } });
    expect((await usage()).incomplete.completion_tokens).toBeLessThan(900);
  });

  it("within its body is not answered, and harms nobody", async () => {
    const apiKey = await cluster.key("truncated");
    const head = `Authorization: Bearer ${apiKey}\r\nContent-Length: 500\r\n\r\n`;
    expect(await exchange((line) => `${line}${head}{"model":"`, true)).toBe("");
    const models = await fetch(`${cluster.url}/v1/models`, {
      headers: { authorization: `Bearer ${apiKey}` },
    });
    expect(models.status).toBe(200);
  });

  it("is one that closes its half of the connection", async () => {
    const apiKey = await cluster.key("half");
    const body = JSON.stringify({ ...question, stream: true, max_tokens: 900 });
    const head = `Authorization: Bearer ${apiKey}\r\nContent-Length: ${body.length}\r\n\r\n`;
    const answer = await exchange((line) => line + head + body, true);
    expect(answer).not.toContain("[DONE]");
    await expect
      .poll(async () => (await cluster.pool())[0]?.kv, { timeout: 10_000, interval: 20 })
      .toSatisfy(({ free, total }) => free === total);
  });
});
