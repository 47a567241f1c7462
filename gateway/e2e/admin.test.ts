// npm run admin against a real gateway, as an operator types it.
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../local/bundle.ts";
import { type LocalGateway, serve } from "../local/serve.ts";

const run = promisify(execFile);
let state: string;
let gateway: LocalGateway;
beforeAll(async () => {
  state = mkdtempSync(join(tmpdir(), "anabranch-admin-"));
  gateway = await serve({ port: 0, state, accessLog: false });
});
afterAll(async () => {
  await gateway.close();
  rmSync(state, { recursive: true });
});

interface Ended {
  stdout: string;
  stderr: string;
  code: number;
}

const admin = (args: readonly string[], credential?: string): Promise<Ended> =>
  run(process.execPath, [join(root, "gateway/local/admin.ts"), ...args], {
    env: {
      ...process.env,
      ANABRANCH_GATEWAY: gateway.url,
      ANABRANCH_ADMIN_TOKEN: credential ?? gateway.secrets.ANABRANCH_ADMIN_TOKEN,
    },
  }).then(
    (ended) => ({ ...ended, code: 0 }),
    (error: Ended) => ({ stdout: error.stdout, stderr: error.stderr, code: error.code }),
  );
const json = async (...args: string[]) => JSON.parse((await admin([...args, "--json"])).stdout);

const opens = async (headers: Record<string, string>) =>
  (await fetch(`${gateway.url}/v1/models`, { headers })).status;

describe("npm run admin", () => {
  it("makes, changes, rotates and revokes keys, and shows what was done", async () => {
    const made = await json("keys", "create", "--tenant", "acme", "--name", "app", "--rpm", "60");
    expect(made).toMatchObject({ tenant: "acme", name: "app", rpm: 60, status: "active" });
    expect(await opens({ authorization: `Bearer ${made.key}` })).toBe(200);
    expect(await opens({ "x-api-key": made.key })).toBe(200);

    const changed = await json(
      "keys",
      "change",
      made.id,
      "--rpm",
      "none",
      "--expires",
      "2100-01-31",
    );
    expect(changed).toMatchObject({ rpm: null, expires_at: Date.parse("2100-01-31") / 1_000 });
    const next = await json("keys", "rotate", made.id, "--overlap", "0");
    expect(next).toMatchObject({ name: "app", tenant: "acme" });
    await json("keys", "revoke", next.id);
    const { keys } = await json("keys", "list", "--tenant", "acme");
    const status = Object.fromEntries(
      (keys as { id: string; status: string }[]).map((key) => [key.id, key.status]),
    );
    expect(status).toEqual({ [made.id]: "expired", [next.id]: "revoked" });
    // Within two seconds everywhere.
    await expect.poll(() => opens({ "x-api-key": made.key }), { timeout: 2_500 }).toBe(401);

    const { entries } = await json("audit", "--tenant", "acme");
    expect((entries as { action: string }[]).map(({ action }) => action)).toEqual([
      "key.revoke",
      "key.rotate",
      "key.change",
      "key.create",
    ]);
    const table = (await admin(["audit", "--tenant", "acme", "--csv"])).stdout.trim().split("\n");
    expect(table[0]).toBe("id,at,request_id,operator,action,tenant,key,detail");
    expect(table.slice(1).map((line) => line.split(",")[4])).toEqual([
      "key.revoke",
      "key.rotate",
      "key.change",
      "key.create",
    ]);
    expect(await json("usage", "--by", "day,tenant")).toEqual({
      ...{ currency: null, rows: [], truncated: false, next: null },
    });
    expect((await admin(["usage", "--csv"])).code).toBe(0);
    expect(await json("pool")).toEqual({ workers: [] });
    const text = (await admin(["keys", "list", "--tenant", "acme"])).stdout;
    expect(text.trim().split("\n")).toHaveLength(2);
    expect(text).toContain("revoked");
  });

  it("makes and revokes operators' credentials", async () => {
    const made = await json("operators", "create", "--name", "rita", "--scopes", "read");
    expect((await admin(["keys", "list"], made.credential)).code).toBe(0);
    const refused = await admin(["keys", "create", "--tenant", "x"], made.credential);
    expect(refused.stderr).toContain("may read, and change nothing");
    await json("operators", "revoke", made.id);
    expect((await admin(["keys", "list"], made.credential)).code).toBe(1);
    expect((await admin(["operators", "list"])).stdout).toContain("revoked");
  });

  it.each([
    [["keys", "create"], 2, "--tenant is needed"],
    [["keys", "show"], 2, "takes a key's id"],
    [["keys", "show", "none"], 1, "There is no key with the id 'none'."],
    [["keys", "create", "--tenant", "a", "--expires", "2020-01-31"], 2, "2020-01-31 has passed"],
    [["keys", "show", "none", "--rpm", "5"], 2, "keys show takes no --rpm"],
    [["pool", "drain", "none"], 1, "There is no worker with the id 'none'."],
    [["prices", "delete", "m"], 1, "The model 'm' has no price."],
    [["fly"], 2, "say what to do"],
  ])("%j ends with %d and says why", async (args, code, message) => {
    const ended = await admin(args);
    expect(ended.stderr).toContain(message);
    expect(ended).toMatchObject({ code, stdout: "" });
  });

  it("notes models that nobody has, and says times in this machine's zone", async () => {
    const made = await admin(["keys", "create", "--tenant", "notes", "--models", "typo"]);
    expect(made.code).toBe(0);
    expect(made.stderr).toContain('no worker has a model "typo" now');
    const args = ["keys", "create", "--tenant", "notes", "--expires", "2100-01-31T12:00:00Z"];
    const main = join(root, "gateway/local/admin.ts");
    const { stdout } = await run(process.execPath, [main, ...args], {
      env: {
        ...{ ...process.env, ANABRANCH_GATEWAY: gateway.url, TZ: "Asia/Kolkata" },
        ANABRANCH_ADMIN_TOKEN: gateway.secrets.ANABRANCH_ADMIN_TOKEN,
      },
    });
    expect(stdout).toContain("expires 2100-01-31T17:30:00+05:30");
  });

  it("finds the gateway of this machine by ANABRANCH_STATE and ANABRANCH_PORT", async () => {
    const { ANABRANCH_ADMIN_TOKEN, ANABRANCH_GATEWAY, ...env } = process.env;
    const here = { ...env, ANABRANCH_STATE: state, ANABRANCH_PORT: new URL(gateway.url).port };
    const main = join(root, "gateway/local/admin.ts");
    const { stdout } = await run(process.execPath, [main, "pool", "--json"], { env: here });
    expect(JSON.parse(stdout)).toEqual({ workers: [] });
    // What this machine keeps is for no other.
    const away = [main, "pool", "--gateway", "http://gateway.example:8787"];
    await expect(run(process.execPath, away, { env: here })).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining("set ANABRANCH_ADMIN_TOKEN to the admin credential of"),
    });
  });

  it("says what is wrong with the credential and with the address", async () => {
    expect((await admin(["pool"], "wrong")).stderr).toContain("This needs the admin credential.");
    const away = await admin(["pool", "--gateway", "http://127.0.0.1:9"]);
    expect(away.stderr).toContain("does not answer");
  });
});
