// A tenant with many requests on a small worker, and what another notices of it.
import OpenAI from "openai";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await openTestCluster();
  const small = ["--model", "models/small", "--threads", "1", "--max-running", "1"];
  await cluster.addWorker("small", [...small, "--max-queue", "25"]);
}, 120_000);
afterAll(() => cluster.close());

async function asking(tenant: string) {
  const apiKey = await cluster.key(tenant);
  const openai = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey, maxRetries: 0 });
  return () =>
    openai.chat.completions.create({
      ...{ model: "anabranch-small", max_tokens: 40 },
      messages: [{ role: "user", content: "Describe Mercury, Earth and Mars." }],
      ...({ anabranch: { mode: "serial", cache: "bypass" } } as object),
    });
}

it("a tenant that fills a worker's queue leaves others their turn and a place to wait in", async () => {
  const [askBusy, askQuiet] = await Promise.all([asking("busy"), asking("quiet")]);
  let answered = 0;
  let refused = 0;
  const many = Array.from({ length: 40 }, () =>
    askBusy().then(
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
  // Those that run, the engine's next one, and one or two that end while the answer is on its way.
  expect(answered - before).toBeLessThan(10);
  await Promise.all(many);
  expect(answered + refused).toBe(40);
  expect(answered).toBeGreaterThanOrEqual(18);
}, 120_000);

it("shares a full worker's time by the tenants' weights", async () => {
  const [askHeavy, askLight] = await Promise.all([asking("heavy"), asking("light")]);
  const changed = await fetch(`${cluster.url}/admin/v1/tenants/heavy`, {
    method: "PATCH",
    headers: { authorization: `Bearer ${cluster.adminToken}` },
    body: JSON.stringify({ weight: 3 }),
  });
  expect(await changed.json()).toMatchObject({ weight: 3 });
  const answers: string[] = [];
  // Each has six requests there at any time, until one has all of its answers.
  const client = async (tenant: string, ask: () => Promise<unknown>) => {
    while (answers.length < 60) {
      await ask();
      answers.push(tenant);
    }
  };
  await Promise.all(
    Array.from({ length: 6 }, () => [client("heavy", askHeavy), client("light", askLight)]).flat(),
  );
  // All waited when the first few started.
  const heavy = answers.slice(12, 60).filter((tenant) => tenant === "heavy").length;
  expect(heavy).toBeGreaterThanOrEqual(32);
  expect(heavy).toBeLessThanOrEqual(40);
}, 120_000);
