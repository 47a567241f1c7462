// What an operator does, as docs/operations.md and docs/models.md say it: their commands in the order of the page, run
// as they stand but for names that the reader fills in, beside a gateway that `npm start` has started.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../setup.mjs";
import { type Block, blocksOf, placeOf } from "./blocks.ts";
import { entryOf } from "./fates.ts";
import { npmFolder, pathWith, runBlock } from "./shell.ts";

const timeout = 60_000;
const folder = mkdtempSync(join(tmpdir(), "anabranch-operator-"));
const state = join(folder, "state");
const credential = "a credential of this test's worker";
const env: NodeJS.ProcessEnv = {
  ...process.env,
  ...{ PATH: pathWith(npmFolder(folder)), ANABRANCH_STATE: state, ANABRANCH_PORT: "0" },
  ...{ ANABRANCH_MODEL: "models/small", ANABRANCH_ACCESS_LOG: "off" },
  ANABRANCH_WORKER_CREDENTIAL: credential,
};
for (const name of ["ANABRANCH_ADMIN_TOKEN", "ANABRANCH_GATEWAY", "ANABRANCH_POOL_TOKEN"]) {
  delete env[name];
}

const blocks = ["docs/operations.md", "docs/models.md"]
  .flatMap((file) => blocksOf(file))
  .filter((block) => entryOf(block).fate === "operator");
const isStart = ({ text }: Block) => text === "npm start\n";
const isParts = ({ text }: Block) => text.includes("gateway/local/main.ts");
const isBackup = ({ text }: Block) => text.includes("anabranch-backup");

/** What the reader fills in, and what stands for machines that are not here. ID is the last id that was printed. */
const seen = { ID: "", KEY: "", WORKER: "" };
const filled = (text: string): string =>
  [
    [/\[(--[^\]]+)\]/g, "$1"],
    [/int4\|int8/g, "int8"],
    [/models -- (show|quantize) MODEL OUT?\b/g, `models -- $1 models/small ${folder}/quantized`],
    [/models -- show MODEL/g, "models -- show models/small"],
    [/--model MODEL/g, "--model models/small"],
    [/--kv-tokens N/g, "--kv-tokens 1000"],
    [/PATH or hf:OWNER\/NAME/g, join(root, "gpu-worker/test/adapters/loud")],
    [/"NAME"/g, '"loud"'],
    [/export ANABRANCH_UPSTREAM_CREDENTIAL=…/g, 'export ANABRANCH_UPSTREAM_CREDENTIAL="$KEY"'],
    [/http:\/\/10\.0\.0\.5:8000/g, "$GATEWAY"],
    [/smollm2:branching|meta-llama\/Llama-3\.3-70B-Instruct|\bMODEL\b/g, "anabranch-small"],
    [/\bID\b/g, seen.ID],
    [/127\.0\.0\.1:8787/g, "127.0.0.1:$ANABRANCH_PORT"],
    [/--port (8787|N)\b/g, "--port 0"],
    [/(?<= )\.anabranch\b/g, state],
    [/anabranch-backup\.tar\.gz/g, `${folder}/backup.tar.gz`],
  ].reduce((so, [what, by]) => so.replace(what as RegExp, by as string), text);

async function run(block: Block): Promise<string> {
  const { stdout } = await runBlock(filled(block.text), { ...env, ...seen });
  expect(stdout).not.toMatch(/"error": ?\{/);
  seen.ID = /^([a-z0-9]{12}) {2}/m.exec(stdout)?.[1] ?? seen.ID;
  return stdout;
}

interface Ready {
  gateway: string;
  key: string;
  admin: string;
}

/** Started as the page says. @returns its process and what it prints when it serves */
async function start(): Promise<[ChildProcess, Ready]> {
  const child = spawn("sh", ["-c", "exec npm start"], {
    ...{ cwd: root, env: { ...env, ANABRANCH_PORT: "0" }, stdio: ["ignore", "pipe", "inherit"] },
  });
  if (!child.stdout) throw new Error("no stdout");
  for await (const line of createInterface({ input: child.stdout })) {
    const { gateway, key_file, admin_file } = JSON.parse(line.replace(/^ready /, ""));
    const kept = (file: string) => JSON.parse(readFileSync(file, "utf8"));
    const key = kept(key_file).key as string;
    const ready: Ready = { gateway, key, admin: kept(admin_file).ANABRANCH_ADMIN_TOKEN };
    Object.assign(env, { GATEWAY: ready.gateway, ADMIN: ready.admin });
    env.ANABRANCH_PORT = new URL(ready.gateway).port;
    child.stdout.resume();
    return [child, ready];
  }
  throw new Error("npm start ended before it was ready");
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill("SIGTERM");
  await once(child, "exit");
}

const opens = async (key: string): Promise<number> =>
  (await fetch(`${env.GATEWAY}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).status;

let child: ChildProcess;
let ready: Ready;
beforeAll(async () => {
  [child, ready] = await start();
  seen.KEY = ready.key;
  const { stdout } = await runBlock("npm run admin -- pool --json", env);
  seen.WORKER = JSON.parse(stdout).workers[0].url;
}, 120_000);
afterAll(async () => {
  await end(child);
  rmSync(folder, { recursive: true, force: true });
});

/** A command in the foreground, as in a terminal of its own. */
function foreground(command: string): ChildProcess {
  const stdio = ["ignore" as const, "pipe" as const, "inherit" as const];
  return spawn("sh", ["-c", `exec ${filled(command)}`], { cwd: root, env, stdio });
}

describe("an operator's commands", () => {
  it("begin with npm start", () => {
    expect(blocks.filter(isStart)).toHaveLength(1);
  });

  for (const block of blocks.filter(
    (each) => !isStart(each) && !isParts(each) && !isBackup(each),
  )) {
    it(
      `${placeOf(block)}, ${block.heading}`,
      async () => {
        const before = { ...seen };
        const stdout = await run(block);
        const made = /^(sk-ab-\S+)$/m.exec(stdout)?.[1];
        if (block.heading === "A first day" && made) {
          expect(await opens(made)).toBe(200);
          seen.KEY = made;
        }
        if (/keys revoke/.test(block.text)) {
          // The first of the two is revoked: the new key is another.
          expect(await opens(seen.KEY)).toBe(200);
          await expect.poll(() => opens(before.KEY), { timeout: 5_000 }).toBe(401);
        }
        if (/pool drain local/.test(block.text)) {
          const { stdout } = await runBlock("npm run admin -- pool", env);
          expect(stdout).toMatch(/local {2}draining/);
        }
      },
      timeout,
    );
  }

  it(
    "end with Ctrl-C; a backup served by the parts alone has the keys and the usage",
    async () => {
      await end(child);
      expect(child.exitCode).toBe(0);
      const [save, restore] = blocks.filter(isBackup);
      const [gateway = "", worker = ""] = blocks.find(isParts)?.text.trim().split("\n") ?? [];
      if (!save || !restore) throw new Error("the page says no backup");
      await run(save);
      rmSync(state, { recursive: true });
      await run(restore);

      const serving = foreground(gateway);
      if (!serving.stdout) throw new Error("no stdout");
      const [line] = await once(createInterface({ input: serving.stdout }), "line");
      env.GATEWAY = (JSON.parse(line) as Ready).gateway;
      env.ANABRANCH_PORT = new URL(env.GATEWAY).port;
      const decoding = foreground(worker);
      try {
        expect(await opens(seen.KEY)).toBe(200);
        const healthy = () => runBlock("npm run admin -- pool", env).then(({ stdout }) => stdout);
        await expect.poll(healthy, { timeout }).toMatch(/ {2}healthy {2}anabranch-small/);
        const { stdout } = await runBlock("npm run admin -- usage --by tenant --csv", env);
        expect(stdout).toMatch(/^acme,[1-9]/m);
      } finally {
        await end(decoding);
        await end(serving);
      }
    },
    2 * timeout,
  );
});
