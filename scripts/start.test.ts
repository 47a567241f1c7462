// npm start as a whole: what it does when one of its processes is killed, and when it is.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { childProcesses, runs } from "@anabranch/shared/child-processes.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const state = mkdtempSync(join(tmpdir(), "anabranch-start-"));
const timeout = 60_000;

interface Ready {
  gateway: string;
  key: string;
  admin: string;
  model: string;
}

let started: ChildProcess;
/** What it said beside its one line. */
let said = "";
/** Its one line. */
let line = "";
let ready: Ready;

beforeAll(async () => {
  started = spawn(process.execPath, [join(import.meta.dirname, "start.mjs")], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ANABRANCH_PORT: "0", ANABRANCH_STATE: state },
  });
  if (!started.stdout || !started.stderr) throw new Error("no stdout");
  started.stderr.on("data", (text) => {
    said += text;
    process.stderr.write(text);
  });
  for await (const first of createInterface({ input: started.stdout })) {
    line = first;
    const { key_file, admin_file, ...told } = JSON.parse(line.replace(/^ready /, ""));
    const kept = (file: string) => JSON.parse(readFileSync(file, "utf8"));
    ready = {
      ...{ ...told, key: kept(key_file).key },
      admin: kept(admin_file).ANABRANCH_ADMIN_TOKEN,
    };
    started.stdout.resume();
    return;
  }
  throw new Error("npm start ended before it was ready");
}, 120_000);
afterAll(() => {
  started.kill("SIGKILL");
  rmSync(state, { recursive: true, force: true });
});

const commandOf = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, "utf8");
const child = (file: string) =>
  childProcesses(started.pid ?? 0).find((pid) => commandOf(pid).includes(file));

async function answered(): Promise<boolean> {
  const response = await fetch(`${ready.gateway}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${ready.key}` },
    body: JSON.stringify({
      ...{ model: ready.model, max_tokens: 2, anabranch: { cache: "bypass" } },
      messages: [{ role: "user", content: "Hello" }],
    }),
  });
  await response.text();
  return response.ok;
}

/** What one says that ends by itself, and its exit code. */
async function tried(args: string[], env: Record<string, string>) {
  const child = spawn(process.execPath, [join(import.meta.dirname, "start.mjs"), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ANABRANCH_PORT: "0", ...env },
  });
  const [out, err] = [text(child.stdout), text(child.stderr)];
  const [code] = await once(child, "close");
  return { code, out: await out, err: await err };
}

it("says how it is used, and starts nothing then", async () => {
  const { code, out } = await tried(["--help"], { ANABRANCH_STATE: join(state, "unused") });
  expect(code).toBe(0);
  expect(out).toContain("ANABRANCH_PORT");
  expect(out).not.toMatch(/^ready /m);
  expect(existsSync(join(state, "unused"))).toBe(false);
});

it("says in one line what it can't start with", async () => {
  const file = join(state, "file");
  const broken = join(state, "broken");
  mkdirSync(broken);
  writeFileSync(file, "");
  writeFileSync(join(broken, "secrets.json"), "{");
  const [option, noFolder, noJson, port] = await Promise.all([
    tried(["--nope"], {}),
    tried([], { ANABRANCH_STATE: file }),
    tried([], { ANABRANCH_STATE: broken }),
    tried([], { ANABRANCH_PORT: "abc", ANABRANCH_STATE: join(state, "other") }),
  ]);
  expect(option).toMatchObject({ code: 2, err: "start: Unknown option '--nope'; see --help\n" });
  expect(noFolder.err).toBe(
    `start: the state folder ${file} can't be used (ANABRANCH_STATE names it): it is not a folder\n`,
  );
  expect(noJson.err).toBe(
    `start: ${join(broken, "secrets.json")} is not a JSON object: restore it from a backup\n`,
  );
  expect(port.err).toContain("(ANABRANCH_PORT or --port) is a whole number from 0 to 65535");
  expect([noFolder, noJson, port].map(({ code }) => code)).toEqual([1, 1, 1]);
});

describe("npm start", () => {
  it("says in a log where its keys are, and not what they are, nor what it asked itself", () => {
    expect(ready.key).toMatch(/^sk-ab-/);
    expect(line).toContain(join(state, "start-key.json"));
    for (const secret of [ready.key, ready.admin]) expect(line + said).not.toContain(secret);
    expect(said).not.toContain('"event":"request"');
  });

  it("prints a link that signs in to the console, once", async () => {
    const [, address, token] = /sign in: (\S+)#sign-in=(\w+)/.exec(said) ?? [];
    expect(address).toBe(`${ready.gateway}/`);
    const exchange = () =>
      fetch(`${ready.gateway}/sign-in`, { method: "POST", body: JSON.stringify({ token }) });
    expect(await (await exchange()).json()).toEqual({ key: ready.key, admin: ready.admin });
    expect((await exchange()).status).toBe(401);
    expect(said.split(`${token}`)).toHaveLength(2);
  });

  it("starts another worker when one is killed, again and again", async () => {
    for (let count = 0; count < 2; count++) {
      const worker = child("gpu-worker/src/main.ts");
      if (worker === undefined) throw new Error("no worker runs");
      process.kill(worker, "SIGKILL");
      await expect.poll(() => child("gpu-worker/src/main.ts"), { timeout }).not.toBe(worker);
      await expect.poll(answered, { timeout }).toBe(true);
      expect(runs(worker)).toBe(false);
    }
  }, 200_000);

  it("leaves no process behind when it is killed itself", async () => {
    const tree = (pid: number): number[] => [pid, ...childProcesses(pid).flatMap(tree)];
    const all = tree(started.pid ?? 0);
    // Itself, the gateway and its workerd, the worker and its engine.
    expect(all.length).toBeGreaterThanOrEqual(5);
    started.kill("SIGKILL");
    await once(started, "exit");
    await expect.poll(() => all.filter(runs), { timeout }).toEqual([]);
  }, 100_000);
});
