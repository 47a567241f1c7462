// Two LoRA adapters and their base through one worker, as clients of the gateway see them.
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import OpenAI from "openai";
import { afterAll, beforeAll, expect, it } from "vitest";
import { root } from "../local/bundle.ts";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";

const base = "anabranch-small";
const [loud, marked] = [`${base}:loud`, `${base}:marked`];
const credential = "a credential of this test's worker";
const folder = (name: string) => join(root, "gpu-worker/test/adapters", name);

let cluster: TestCluster;
let openai: OpenAI;
beforeAll(async () => {
  process.env.ANABRANCH_WORKER_CREDENTIAL = credential;
  cluster = await openTestCluster();
  await cluster.addWorker("one", [
    ...["--model", "models/small", "--device", "cpu", "--threads", "1"],
    ...["--adapter", `loud=${folder("loud")}`, "--adapter", `marked=${folder("marked")}`],
  ]);
  openai = new OpenAI({
    ...{ baseURL: `${cluster.url}/v1`, apiKey: await cluster.key("adapters"), maxRetries: 0 },
  });
}, 120_000);
afterAll(() => cluster.close());

async function ask(model: string, seed?: number) {
  const request = {
    ...{ model, temperature: seed === undefined ? 0 : 1, max_tokens: 150 },
    ...(seed !== undefined && { seed }),
    messages: [{ role: "user" as const, content: "Compare Tokyo, Paris and Cairo." }],
  };
  const { data, response } = await openai.chat.completions.create(request).withResponse();
  return {
    data,
    text: data.choices[0]?.message.content,
    cache: response.headers.get("x-anabranch-cache"),
  };
}

/** The status with which a request for this model is refused. */
const refusal = (model: string) =>
  ask(model).then(
    () => 200,
    (error: InstanceType<typeof OpenAI.APIError>) => error.status,
  );

it("lists the base and each adapter as models", async () => {
  const { data } = await openai.models.list();
  expect(data).toMatchObject([
    { id: base, anabranch: { base: null } },
    { id: loud, anabranch: { base, dialect: "aspd" } },
    { id: marked, anabranch: { base, dialect: "aspd" } },
  ]);
  expect(await openai.models.retrieve(loud)).toMatchObject({ id: loud });
});

it("answers with the model that is asked for, and caches each on its own", async () => {
  const names = [base, loud, marked];
  const first = await Promise.all(names.map((model) => ask(model)));
  expect(first.map(({ cache }) => cache)).toEqual(["miss", "miss", "miss"]);
  expect(first.map(({ data }) => data.model)).toEqual(names);
  expect(first[1]?.text).not.toBe(first[0]?.text);
  const again = await Promise.all(names.map((model) => ask(model)));
  expect(again.map(({ cache }) => cache)).toEqual(["hit", "hit", "hit"]);
  expect(again.map(({ text }) => text)).toEqual(first.map(({ text }) => text));
  expect(await refusal(`${base}:none`)).toBe(404);
  expect(await refusal("loud")).toBe(404);
});

it("follows its worker when that loads and unloads adapters", async () => {
  const [one] = await cluster.pool();
  if (!one) throw new Error("the worker left");
  const headers = { authorization: `Bearer ${credential}` };
  const client = createClient(
    Worker,
    createConnectTransport({ baseUrl: one.url, httpVersion: "1.1" }),
  );
  const before = await ask(loud);
  // The same name with other weights is another model: nothing of the old one is served.
  await client.unloadAdapter({ name: "loud" }, { headers });
  while ((await refusal(loud)) !== 404) await sleep(20);
  await client.loadAdapter({ name: "loud", source: folder("marked") }, { headers });
  while ((await refusal(loud)) !== 200) await sleep(20);
  const other = await ask(loud);
  expect(other.text).not.toBe(before.text);
  expect(await refusal(base)).toBe(200);
});
