import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { adminHeaders, bearer, call, chat, makeKey, register } from "../../test/gateway-client.ts";
import { forgetKeys } from "./key-store.ts";

// Workers fall silent soon, so each test has one that was just heard from.
beforeEach(() => register(0));

describe("keys", () => {
  it("opens the gateway for the key that was made", async () => {
    const { key } = await makeKey("keys-a");
    const response = await chat(key, "hi");
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      choices: [{ message: { content: "Hello, world. Bye." }, finish_reason: "stop" }],
    });
  });

  it.each([
    ["no key", {}],
    ["another scheme", { authorization: "Basic abc" }],
    ["not a key at all", bearer("nonsense")],
    ["a well-formed key that nobody made", bearer(`sk-ab-${"a".repeat(12)}-${"B".repeat(46)}`)],
  ])("answers 401 to %s", async (_, headers) => {
    const response = await call("/v1/models", { headers });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ error: { code: "invalid_api_key" } });
  });

  it("answers 401 to a key with another's public id", async () => {
    const { key } = await makeKey("keys-a");
    const forged = `${key.slice(0, -1)}${key.endsWith("x") ? "y" : "x"}`;
    const response = await call("/v1/models", { headers: bearer(forged) });
    expect(response.status).toBe(401);
  });

  it("keeps nothing of a key but its hash", async () => {
    const { key, id } = await makeKey("keys-b");
    const row = await env.DB.prepare("SELECT * FROM keys WHERE key_id = ?").bind(id).first();
    expect(row).toMatchObject({ tenant_id: "keys-b", key_id: id });
    expect(row?.hash).toMatch(/^[0-9a-f]{64}$/);
    expect(JSON.stringify(row)).not.toContain(key.split("-").at(-1));
  });

  it("makes keys for the admin only", async () => {
    const { key } = await makeKey("keys-a");
    for (const headers of [{}, bearer("wrong"), bearer(key)]) {
      const body = JSON.stringify({ tenant: "x" });
      const response = await call("/admin/v1/keys", { method: "POST", headers, body });
      expect(response.status).toBe(401);
    }
    for (const tenant of ["", "a b", 5, undefined, "x".repeat(65)]) {
      const body = JSON.stringify({ tenant });
      const init = { method: "POST", headers: adminHeaders, body };
      const response = await call("/admin/v1/keys", init);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { param: "tenant" } });
    }
  });

  it("names a setting that it does not know", async () => {
    const body = JSON.stringify({ tenant: "acme", rmp: 5 });
    const response = await call("/admin/v1/keys", { method: "POST", headers: adminHeaders, body });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { message: "Unknown parameter: 'rmp'.", param: "rmp" },
    });
  });

  it("accepts a recently used key while D1 is unreachable, and answers 503 to others", async () => {
    const { key } = await makeKey("keys-c");
    expect((await call("/v1/models", { headers: bearer(key) })).status).toBe(200);
    await env.DB.prepare("ALTER TABLE keys RENAME TO keys_away").run();
    try {
      expect((await call("/v1/models", { headers: bearer(key) })).status).toBe(200);
      forgetKeys();
      expect((await call("/v1/models", { headers: bearer(key) })).status).toBe(503);
      // A key that was never made is told by itself: no flood of them reaches D1.
      const unknown = `sk-ab-${"a".repeat(12)}-${"B".repeat(46)}`;
      for (const other of [unknown, `${key.slice(0, 30)}${"C".repeat(35)}`]) {
        expect((await call("/v1/models", { headers: bearer(other) })).status).toBe(401);
      }
    } finally {
      await env.DB.prepare("ALTER TABLE keys_away RENAME TO keys").run();
    }
  });
});
