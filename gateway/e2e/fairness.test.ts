// A tenant with many requests on a small worker, and what another notices of it.
import OpenAI from "openai";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await openTestCluster();
  const queue = ["--threads", "1", "--max-running", "1", "--max-queue", "25"];
  await cluster.addWorker("small", ["--model", "models/small", ...queue]);
  await cluster.addWorker("slow", ["--model", "models/demo", ...queue]);
}, 120_000);
afterAll(() => cluster.close());

async function asking(tenant: string, model = "anabranch-small") {
  const apiKey = await cluster.key(tenant);
  const openai = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey, maxRetries: 0 });
  return (max_tokens = 40, signal?: AbortSignal) =>
    openai.chat.completions.create(
      {
        ...{ model, max_tokens },
        messages: [{ role: "user", content: "Describe Mercury, Earth and Mars." }],
        ...({ ignore_eos: true, anabranch: { mode: "serial", cache: "bypass" } } as object),
      },
      { signal },
    );
}

it("a tenant that fills a worker's queue leaves others their turn and a place to wait in", async () => {
  const [askBusy, askQuiet] = await Promise.all([asking("busy"), asking("quiet")]);
  let answered = 0;
  let refused = 0;
  const many = Array.from({ length: 40 }, () =>
    // So long that few end while a short request is on its way, however busy the machine is.
    askBusy(400).then(
      () => answered++,
      (error) => {
        expect(error).toMatchObject({ status: 503, code: "overloaded" });
        expect(Number(error.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
        refused++;
      },
    ),
  );
  // Its queue is full.
  await expect.poll(() => refused, { timeout: 30_000 }).toBeGreaterThan(0);
  const before = answered;
  await askQuiet();
  // Those that run, the engine's next one, and some that end while the answer is on its way.
  expect(answered - before).toBeLessThan(10);
  await Promise.all(many);
  expect(answered + refused).toBe(40);
  expect(answered).toBeGreaterThanOrEqual(18);
}, 120_000);

it("shares a full worker's time by the tenants' weights", async () => {
  const demo = "SmolLM2-135M-Instruct-Q4_1";
  const holder = await asking("holder", demo);
  const [heavy, light] = [await asking("heavy", demo), await asking("light", demo)];
  const changed = await fetch(`${cluster.url}/admin/v1/tenants/heavy`, {
    method: "PATCH",
    headers: { authorization: `Bearer ${cluster.adminToken}` },
    body: JSON.stringify({ weight: 5 }),
  });
  expect(await changed.json()).toMatchObject({ weight: 5 });
  const inWorker = (count: number) =>
    expect.poll(() => cluster.inEngines(), { timeout: 60_000 }).toBe(count);
  // What runs, and the engine's next one, keep the others waiting until all are there.
  const held = new AbortController();
  const holding = Array.from({ length: 2 }, () =>
    expect(holder(1500, held.signal)).rejects.toThrow(OpenAI.APIUserAbortError),
  );
  await inWorker(2);
  const answers: string[] = [];
  const waiting = Array.from({ length: 12 }, () => [
    light(16).then(() => answers.push("light")),
    heavy(16).then(() => answers.push("heavy")),
  ]);
  await inWorker(26);
  held.abort();
  await Promise.all([...holding, ...waiting.flat()]);
  // Of twelve, ten by the weights, and six without them.
  const first = answers.slice(0, 12).filter((tenant) => tenant === "heavy");
  expect(first.length).toBeGreaterThanOrEqual(8);
  expect(answers.slice(0, 12)).toContain("light");
}, 120_000);
