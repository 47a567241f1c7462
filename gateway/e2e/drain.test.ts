// A gateway in its own process that is told to end while an answer runs, and the next one on its state.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { root } from "../local/bundle.ts";
import { secrets } from "../local/secrets.ts";

const model = "anabranch-small";
const state = mkdtempSync(join(tmpdir(), "anabranch-drain-"));
const kept = secrets(join(state, "secrets.json"));
const children: ChildProcess[] = [];

function start(file: string, args: string[], env: Record<string, string>): ChildProcess {
  const child = spawn(process.execPath, [join(root, file), ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ANABRANCH_ACCESS_LOG: "off", ...env },
  });
  children.push(child);
  return child;
}

/** A gateway on `port`, and its address once it listens. */
async function startGateway(port: string, drainSeconds: number) {
  const args = ["--state", state, "--port", port];
  const env = { ANABRANCH_DRAIN_SECONDS: String(drainSeconds) };
  const child = start("gateway/local/main.ts", args, env);
  if (!child.stdout) throw new Error("no stdout");
  for await (const line of createInterface({ input: child.stdout })) {
    child.stdout.resume();
    return { child, url: (JSON.parse(line) as { gateway: string }).gateway };
  }
  throw new Error("the gateway did not start");
}

async function admin<T>(url: string, path: string, init: RequestInit = {}): Promise<T> {
  const headers = { authorization: `Bearer ${kept.ANABRANCH_ADMIN_TOKEN}` };
  return (await (await fetch(url + path, { ...init, headers })).json()) as T;
}

const served = (url: string) =>
  vi.waitFor(
    async () =>
      expect(await admin(url, "/admin/v1/pool")).toMatchObject({ workers: [{ healthy: true }] }),
    { timeout: 60_000 },
  );

let apiKey: string;
let port: string;
let worker: ChildProcess;
let gateway: Awaited<ReturnType<typeof startGateway>>;
const client = () => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries: 0 });

beforeAll(async () => {
  gateway = await startGateway("0", 600);
  ({ port } = new URL(gateway.url));
  worker = start(
    "gpu-worker/src/main.ts",
    ["--gateway", gateway.url, "--id", "only", "--model", "models/small", "--threads", "1"],
    { ANABRANCH_POOL_TOKEN: kept.ANABRANCH_POOL_TOKEN },
  );
  worker.stdout?.resume();
  const body = JSON.stringify({ tenant: "drained" });
  const made = await admin<{ key: string }>(gateway.url, "/admin/v1/keys", {
    method: "POST",
    body,
  });
  apiKey = made.key;
  await served(gateway.url);
}, 120_000);
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(state, { recursive: true, force: true });
});

/** Begins an answer that is far from its end when its first part is read: with the worker stopped then, it stays so. */
const begin = () =>
  client().chat.completions.create({
    ...{ model, stream: true, max_tokens: 800, n: 8, temperature: 1, seed: 5 },
    ...{ logprobs: true, top_logprobs: 20 },
    messages: [{ role: "user", content: "Describe Mercury, Earth and Mars." }],
    ...({ anabranch: { mode: "serial", cache: "bypass" } } as object),
  });

const exitOf = async (child: ChildProcess) =>
  child.exitCode ?? ((await once(child, "exit")) as [number | null])[0];

describe("a gateway that gets SIGTERM", () => {
  it("refuses new requests, ends its answers, and then itself", async () => {
    const exit = exitOf(gateway.child);
    const stream = await begin();
    const reasons: (string | null)[] = [];
    let refused = false;
    for await (const { choices } of stream) {
      reasons.push(...choices.flatMap(({ finish_reason }) => finish_reason ?? []));
      if (refused) continue;
      // The answer can't end before the refusal.
      worker.kill("SIGSTOP");
      gateway.child.kill("SIGTERM");
      const ask = () =>
        client()
          .post("/classify", { body: { input: "Describe Mars." } })
          .then(
            () => "served",
            (error) => error.code,
          );
      await expect.poll(ask, { timeout: 20_000 }).toBe("shutting_down");
      refused = true;
      worker.kill("SIGCONT");
    }
    expect(reasons).toHaveLength(8);
    expect(await exit).toBe(0);
  }, 120_000);

  it("ends those that take too long with an error event", async () => {
    gateway = await startGateway(port, 0);
    await served(gateway.url);
    const exit = exitOf(gateway.child);
    const stream = await begin();
    const read = async () => {
      let first = true;
      for await (const _ of stream) {
        // A second signal would end it at once.
        if (!first) continue;
        first = false;
        worker.kill("SIGSTOP");
        gateway.child.kill("SIGTERM");
      }
    };
    await expect(read()).rejects.toMatchObject({ code: "shutting_down" });
    expect(await exit).toBe(0);
    worker.kill("SIGCONT");
  }, 120_000);

  it("has both in its usage, each with its status", async () => {
    gateway = await startGateway(port, 0);
    const headers = { authorization: `Bearer ${apiKey}` };
    const usage = async () => (await fetch(`${gateway.url}/v1/usage?by=hour`, { headers })).json();
    await expect
      .poll(usage, { timeout: 20_000 })
      .toMatchObject({ totals: { requests: 1, incomplete: { requests: 1 } } });
  }, 120_000);
});
