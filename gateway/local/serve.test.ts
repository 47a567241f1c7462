import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { childProcesses, runs } from "@anabranch/shared/child-processes.ts";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { root } from "./bundle.ts";
import { serve } from "./serve.ts";

const state = mkdtempSync(join(tmpdir(), "anabranch-local-"));
const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});
afterAll(() => rmSync(state, { recursive: true, force: true, maxRetries: 10 }));

/** A gateway as a process of its own. */
function startGateway(): ChildProcess {
  const args = ["--port", "0", "--state", state];
  const child = spawn(process.execPath, [join(root, "gateway/local/main.ts"), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ANABRANCH_ACCESS_LOG: "off" },
  });
  started.push(child);
  return child;
}

async function urlOf({ stdout }: ChildProcess): Promise<string> {
  for await (const line of stdout ?? []) {
    return (JSON.parse(String(line)) as { gateway: string }).gateway;
  }
  throw new Error("the gateway did not start");
}

const bearer = (credential: string) => ({ authorization: `Bearer ${credential}` });

describe("a local gateway", () => {
  it("keeps its keys and secrets over a restart", async () => {
    const before = await serve({ port: 0, state });
    const made = await fetch(`${before.url}/admin/v1/keys`, {
      method: "POST",
      headers: bearer(before.secrets.ANABRANCH_ADMIN_TOKEN),
      body: JSON.stringify({ tenant: "someone" }),
    });
    const { key } = (await made.json()) as { key: string };
    await before.close();
    await expect(fetch(`${before.url}/health`)).rejects.toThrow();

    const after = await serve({ port: 0, state });
    try {
      expect(after.secrets).toEqual(before.secrets);
      const models = await fetch(`${after.url}/v1/models`, { headers: bearer(key) });
      expect(models.status).toBe(200);
    } finally {
      await after.close();
    }
  });

  it("keeps secrets for their owner alone", () => {
    expect(statSync(join(state, "secrets.json")).mode & 0o777).toBe(0o600);
  });

  it("runs from a checkout that its user may only read", () => {
    const bundled = join(root, ".anabranch/gateway");
    expect(statSync(bundled).mode & 0o755).toBe(0o755);
    for (const name of readdirSync(bundled)) {
      expect(statSync(join(bundled, name)).mode & 0o444, name).toBe(0o444);
    }
  });

  it("takes its workerd with it when it is killed, and the next one has its data", async () => {
    const first = startGateway();
    await urlOf(first);
    const workerd = childProcesses(first.pid ?? 0);
    expect(workerd.filter(runs)).toHaveLength(1);
    first.kill("SIGKILL");
    await once(first, "exit");
    // At once, as a supervisor starts it.
    const next = startGateway();
    const url = await urlOf(next);
    expect(workerd.filter(runs)).toEqual([]);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  it("does not share its data folder with another", async () => {
    const first = startGateway();
    await urlOf(first);
    const second = startGateway();
    if (!second.stderr) throw new Error("the gateway has no stderr");
    expect(await text(second.stderr)).toContain(`by the gateway with process ID ${first.pid}: end`);
    expect(second.exitCode ?? (await once(second, "exit"))[0]).toBe(1);
  });
});
