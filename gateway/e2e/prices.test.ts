// Prices and a budget in money, from the operator's terminal to answers of a real worker over two isolates.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { root } from "../local/bundle.ts";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";

const run = promisify(execFile);
const model = "anabranch-small";
let cluster: TestCluster;
beforeAll(async () => {
  cluster = await openTestCluster(2);
  await cluster.addWorker("only");
});
afterAll(() => cluster.close());

async function admin(...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [join(root, "gateway/local/admin.ts"), ...args], {
    env: {
      ...process.env,
      ANABRANCH_GATEWAY: cluster.url,
      ANABRANCH_ADMIN_TOKEN: cluster.adminToken,
    },
  });
  return stdout;
}

interface Usage {
  prompt_tokens: number;
  anabranch: { visible_tokens: number; cached_tokens: number };
}

it("keeps a key within its money, and charges exactly what the answers say", async () => {
  const price = ["--currency", "EUR", "--prompt", "100", "--cached", "10", "--visible", "1000"];
  expect(await admin("prices", "set", model, ...price)).toContain("visible 1000");
  const made = JSON.parse(
    await admin("keys", "create", "--tenant", "payer", "--monthly-cost", "0.25", "--json"),
  );
  expect(made).toMatchObject({ cost_per_month: "0.25" });

  const ask = async (_: unknown, n: number) => {
    const response = await fetch(`${cluster.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${made.key}` },
      body: JSON.stringify({
        ...{ model, max_tokens: 40, anabranch: { mode: "serial", cache: "bypass" } },
        messages: [{ role: "user", content: `Describe Mercury, ${n}.` }],
      }),
    });
    const body = (await response.json()) as { usage?: Usage; error?: { code: string } };
    return { status: response.status, ...body };
  };
  const answers = await Promise.all(Array.from({ length: 30 }, ask));
  const whole = answers.filter(({ status }) => status === 200);
  const refused = answers.filter(({ status }) => status === 429);
  expect(whole.length).toBeGreaterThan(0);
  expect(refused.length).toBe(30 - whole.length);
  expect(new Set(refused.map(({ error }) => error?.code))).toEqual(new Set(["insufficient_quota"]));

  // In millionths: 100 for a computed token of the prompt, 10 for a cached one, 1000 for a visible one.
  const cost = whole.reduce((sum, { usage }) => {
    if (!usage) throw new Error("an answer has no usage");
    const { cached_tokens: cached, visible_tokens: visible } = usage.anabranch;
    return sum + 100 * (usage.prompt_tokens - cached) + 10 * cached + 1_000 * visible;
  }, 0);
  expect(cost).toBeGreaterThan(0);
  expect(cost).toBeLessThanOrEqual(250_000);

  const tenant = JSON.parse(await admin("tenants", "show", "payer", "--json"));
  expect(Math.round(Number(tenant.month.cost) * 1e6)).toBe(cost);
  const response = await fetch(`${cluster.url}/v1/usage`, {
    headers: { authorization: `Bearer ${made.key}` },
  });
  const { currency, totals } = (await response.json()) as {
    currency: string;
    totals: { cost: string };
  };
  expect(currency).toBe("EUR");
  expect(Math.round(Number(totals.cost) * 1e6)).toBe(cost);
  // For people: days and hours as such.
  expect(await admin("usage", "--by", "day,tenant")).toMatch(/^ +day .+\n\d{4}-\d\d-\d\d +payer /);
  expect(await admin("usage", "--by", "hour")).toMatch(/^ +hour .+\n\d{4}-\d\d-\d\dT\d\d:00 /);
  const csv = await admin("usage", "--by", "tenant", "--csv");
  expect(csv).toContain(`,${totals.cost},`);
  expect(csv).toMatch(/,EUR$/m);

  await admin("prices", "delete", model);
  expect(await admin("prices", "list")).toMatch(/EUR {2}none$/m);
});
