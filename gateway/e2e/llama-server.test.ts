// llama.cpp's server as an upstream, where ANABRANCH_LLAMA_SERVER names the program.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { root } from "../local/bundle.ts";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";

const program = process.env.ANABRANCH_LLAMA_SERVER;
const file = join(root, "models/demo/SmolLM2-135M-Instruct-Q4_1.gguf");
const model = "smol";
const run = promisify(execFile);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address ? address.port : 0;
}

let cluster: TestCluster;
let client: OpenAI;
let key: string;
let port: number;
let server: ChildProcess;

function startServer(more: readonly string[] = []): ChildProcess {
  const args = ["-m", file, "-a", model, "--host", "127.0.0.1", "--port", String(port)];
  const sizes = ["-c", "2048", "-np", "4", "--kv-unified", "-t", "1", "--jinja", "--slots"];
  return spawn(program ?? "", [...args, ...sizes, ...more], { stdio: "ignore" });
}

const answers = (path: string) =>
  fetch(`http://127.0.0.1:${port}${path}`).then(
    ({ ok }) => ok,
    () => false,
  );
const busySlots = async () => {
  const slots = (await (await fetch(`http://127.0.0.1:${port}/slots`)).json()) as object[];
  return slots.filter((slot) => Reflect.get(slot, "is_processing")).length;
};
const slotsFree = () => expect.poll(busySlots, { timeout: 10_000 }).toBe(0);

async function addUpstream(): Promise<void> {
  const admin = join(root, "gateway/local/admin.ts");
  await run(process.execPath, [admin, "upstreams", "add", "llama", `http://127.0.0.1:${port}/v1`], {
    env: {
      ...process.env,
      ...{ ANABRANCH_GATEWAY: cluster.url, ANABRANCH_ADMIN_TOKEN: cluster.adminToken },
    },
  });
}

async function kill(): Promise<void> {
  const ended = once(server, "exit");
  server.kill("SIGKILL");
  await ended;
}

const question = [{ role: "user" as const, content: "Name three colours." }];
const fresh = { anabranch: { cache: "bypass" } } as object;
type Body = Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>;
const ask = (fields: Body & object = {}) =>
  client.chat.completions.create({
    ...{ model, messages: question, temperature: 0, max_tokens: 24 },
    ...fresh,
    ...fields,
  }) as Promise<OpenAI.ChatCompletion>;
const refusal = (fields: Body & object) =>
  ask(fields).then(
    () => null,
    ({ status, code, param }) => ({ status, code, param }),
  );
const long = { max_tokens: 1_500, ignore_eos: true } as object;

describe.skipIf(!program)(
  `llama.cpp's server as an upstream${program ? "" : " (ANABRANCH_LLAMA_SERVER names none)"}`,
  () => {
    beforeAll(async () => {
      port = await freePort();
      server = startServer();
      cluster = await openTestCluster();
      key = await cluster.key("llama");
      client = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey: key, maxRetries: 0 });
      await vi.waitUntil(() => answers("/health"), { timeout: 60_000 });
      await addUpstream();
    }, 120_000);
    afterAll(async () => {
      server?.kill("SIGKILL");
      await cluster?.close();
    });

    it("is listed with its context, and answers whole and streamed", async () => {
      expect((await client.models.list()).data).toMatchObject([
        { id: model, anabranch: { upstream: true, dialect: null, context_tokens: 2_048 } },
      ]);
      const whole = await ask();
      expect(whole.choices[0]?.message.content).toMatch(/\w/);
      expect(whole.usage).toMatchObject({ completion_tokens: 24, total_tokens: 34 + 24 });
      expect(whole.choices[0]?.finish_reason).toBe("length");
      let text = "";
      let usage: OpenAI.CompletionUsage | null | undefined;
      const stream = await client.chat.completions.create({
        ...{ model, messages: question, temperature: 0, max_tokens: 24, ...fresh },
        ...{ stream: true, stream_options: { include_usage: true } },
      });
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        usage = chunk.usage ?? usage;
      }
      expect(text).toMatch(/\w/);
      expect(usage).toMatchObject({ prompt_tokens: 34, completion_tokens: 24 });
    });

    it("stops, samples several choices, tells log-probabilities and holds to a schema", async () => {
      const [stopped] = (await ask({ stop: ["1."], max_tokens: 60 })).choices;
      expect(stopped?.message.content).not.toContain("1.");
      const { choices } = await ask({ n: 2, temperature: 1, seed: 5 });
      expect(choices).toHaveLength(2);
      expect(choices[0]?.message.content).not.toBe(choices[1]?.message.content);
      const [judged] = (await ask({ logprobs: true, top_logprobs: 2, max_tokens: 3 })).choices;
      expect(judged?.logprobs?.content).toHaveLength(3);
      for (const { logprob, top_logprobs } of judged?.logprobs?.content ?? []) {
        expect(top_logprobs).toHaveLength(2);
        expect(logprob).toBeLessThan(0);
      }
      const schema = {
        ...{ type: "object", required: ["age"], additionalProperties: false },
        properties: { age: { type: "integer" } },
      };
      const format = { type: "json_schema" as const, json_schema: { name: "person", schema } };
      const [held] = (await ask({ response_format: format, max_tokens: 60 })).choices;
      expect(JSON.parse(held?.message.content ?? "")).toEqual({ age: expect.any(Number) });
    });

    const parameters = { type: "object", properties: { city: { type: "string" } } };
    const tools = [{ type: "function" as const, function: { name: "weather", parameters } }];

    it("refuses tools where the model's template has none", async () => {
      expect(await refusal({ tools })).toEqual({
        ...{ status: 400, code: "invalid_value", param: "tools" },
      });
    });

    it("calls tools, streamed too, where it has", async () => {
      await kill();
      const template = join(root, "gpu-worker/test/chat-templates/qwen2.5.jinja");
      server = startServer(["--chat-template-file", template]);
      await vi.waitUntil(() => answers("/health"), { timeout: 60_000 });
      await addUpstream();
      // A model this small calls what it has seen called.
      const turns = ["Oslo", "Rome", "Cairo"].flatMap((city, index) => [
        { role: "user" as const, content: `Weather in ${city}?` },
        {
          role: "assistant" as const,
          tool_calls: [
            {
              ...{ id: `c${index}`, type: "function" as const },
              function: { name: "weather", arguments: JSON.stringify({ city }) },
            },
          ],
        },
        { role: "tool" as const, tool_call_id: `c${index}`, content: "12 degrees" },
      ]);
      const messages = [...turns, { role: "user" as const, content: "Weather in Paris?" }];
      const fields = { tools, messages, max_tokens: 60 };
      // Another isolate looks at the pool anew after a moment.
      await expect
        .poll(async () => (await ask(fields)).choices, { timeout: 30_000 })
        .toMatchObject([
          {
            finish_reason: "tool_calls",
            message: {
              content: null,
              tool_calls: [{ function: { name: "weather", arguments: '{"city": "Paris"}' } }],
            },
          },
        ]);
      const stream = client.chat.completions.stream({
        ...{ model, temperature: 0, ...fresh, ...fields },
      });
      expect((await stream.finalChatCompletion()).choices).toMatchObject([
        {
          finish_reason: "tool_calls",
          message: { tool_calls: [{ function: { arguments: '{"city": "Paris"}' } }] },
        },
      ]);
    }, 120_000);

    it("answers declared branches side by side", async () => {
      const branches = ["Tokyo", "Oslo"].map((title) => ({ title, content: `And ${title}?` }));
      const answer = await ask({ anabranch: { branches, cache: "bypass" } } as object);
      expect(Reflect.get(answer.choices[0]?.message ?? {}, "anabranch")).toMatchObject({
        parts: [{ parallel: [{ title: "Tokyo" }, { title: "Oslo" }] }],
      });
      expect(Reflect.get(answer.usage ?? {}, "anabranch")).toMatchObject({ branches: 2 });
    });

    it("refuses what that server can't do, and names the field", async () => {
      const invalid = { status: 400, code: "invalid_value" };
      const choice = { guided_choice: ["a", "b"] } as object;
      expect(await refusal(choice)).toEqual({ ...invalid, param: "guided_choice" });
      const messages = [{ role: "user" as const, content: "word ".repeat(3_000) }];
      expect(await refusal({ messages })).toMatchObject({
        ...{ status: 400, code: "context_length_exceeded", param: "messages" },
      });
      const schema = { type: "object", properties: { a: { $ref: "#/nowhere" } } };
      const format = { type: "json_schema" as const, json_schema: { name: "a", schema } };
      expect(await refusal({ response_format: format })).toMatchObject({ status: 400 });
    });

    it("is left by those who leave: its slots are free again", async () => {
      const leave = async (fields: object) => {
        const left = new AbortController();
        const options = { signal: left.signal };
        const asked = client.chat.completions.create(
          { model, messages: question, ...long, ...fresh, ...fields },
          options,
        );
        const failed = asked.then(
          () => false,
          () => true,
        );
        await expect.poll(busySlots, { timeout: 10_000 }).toBeGreaterThan(0);
        left.abort();
        if (!("stream" in fields)) expect(await failed).toBe(true);
        await slotsFree();
      };
      const branches = ["A", "B"].map((title) => ({ title, content: `Tell of ${title}.` }));
      await leave({});
      await leave({ stream: true });
      await leave({ stream: true, anabranch: { branches } });
      await expect
        .poll(async () => (await cluster.usage(key)).incomplete.requests, { timeout: 10_000 })
        .toBeGreaterThanOrEqual(2);
    });

    it("is waited for when it dies: the answer goes on with the same text, or ends with an error", async () => {
      const stream = await client.chat.completions.create({
        ...{ model, messages: question, temperature: 0, stream: true, ...long, ...fresh },
      });
      let text = "";
      let died = false;
      let failure: unknown = null;
      try {
        for await (const chunk of stream) {
          text += chunk.choices[0]?.delta.content ?? "";
          if (died || text.length < 40) continue;
          died = true;
          await kill();
          server = startServer();
        }
      } catch (error) {
        failure = error;
      }
      // Its kernels round differently for a prompt that they read anew: which of both it is, is not ours.
      if (failure) expect(Reflect.get(failure as object, "code")).toBe("worker_lost");
      else expect((await cluster.usage(key)).requests).toBeGreaterThan(0);
      await expect.poll(() => answers("/health"), { timeout: 60_000 }).toBe(true);
      await expect
        .poll(
          () =>
            ask().then(
              ({ choices }) => choices.length,
              () => 0,
            ),
          { timeout: 20_000 },
        )
        .toBe(1);
    }, 120_000);
  },
);
