import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { adminHeaders, bearer, call, chat, makeKey, register } from "../../test/gateway-client.ts";
import { forgetKeys } from "../auth/key-store.ts";

// Workers fall silent soon, so each test has one that was just heard from.
beforeEach(() => register(0));

type Json = Record<string, unknown>;

async function admin(method: string, path: string, body?: Json) {
  const response = await call(`/admin/v1${path}`, {
    ...{ method, headers: adminHeaders },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Json };
}

/** As another isolate sees the key, or this one two seconds later. */
async function models(key: string): Promise<Response> {
  forgetKeys();
  return await call("/v1/models", { headers: bearer(key) });
}

describe("a key's life", () => {
  it("is created with settings, listed, changed and revoked", async () => {
    const made = await admin("POST", "/keys", {
      ...{ tenant: "life", name: "laptop", rpm: 100, scopes: ["inference"] },
      models: ["fake"],
    });
    expect(made.status).toBe(200);
    expect(made.body).toMatchObject({
      ...{ tenant: "life", name: "laptop", rpm: 100, tpm: null, scopes: ["inference"] },
      ...{ models: ["fake"], status: "active", expires_at: null, revoked_at: null },
    });
    const id = String(made.body.id);
    const { key: secret, ...shown } = made.body;
    expect((await admin("GET", `/keys/${id}`)).body).toEqual(shown);
    expect((await admin("GET", "/keys?tenant=life")).body).toEqual({ keys: [shown], next: null });

    const changed = await admin("PATCH", `/keys/${id}`, { name: "desktop", models: null });
    expect(changed.body).toEqual({ ...shown, name: "desktop", models: null });
    expect((await models(String(secret))).status).toBe(200);

    const revoked = await admin("DELETE", `/keys/${id}`);
    expect(revoked.body).toMatchObject({ id, status: "revoked" });
    const refused = await models(String(secret));
    expect(refused.status).toBe(401);
    expect(await refused.json()).toMatchObject({
      error: { message: "This API key has been revoked.", code: "invalid_api_key" },
    });
    // Revoking it again changes nothing.
    expect((await admin("DELETE", `/keys/${id}`)).body).toEqual(revoked.body);
  });

  it("has a priority, which its requests have at the worker", async () => {
    const { key, id } = await makeKey("priority");
    const said = async () => {
      forgetKeys();
      const response = await chat(key, { saysPriority: true });
      const { choices } = await response.json<{ choices: { message: { content: string } }[] }>();
      return choices[0]?.message.content;
    };
    expect(await said()).toBe("0");
    const changed = await admin("PATCH", `/keys/${id}`, { priority: -7 });
    expect(changed.body).toMatchObject({ priority: -7 });
    expect(await said()).toBe("-7");
    expect((await admin("PATCH", `/keys/${id}`, { priority: 1_001 })).status).toBe(400);
  });

  it("ends when it expires", async () => {
    const { key, id } = await makeKey("expiry");
    const soon = Math.floor(Date.now() / 1_000) + 3_600;
    await admin("PATCH", `/keys/${id}`, { expires_at: soon });
    expect((await models(key)).status).toBe(200);
    await admin("PATCH", `/keys/${id}`, { expires_at: soon - 3_700 });
    expect((await models(key)).status).toBe(401);
    expect((await admin("GET", `/keys/${id}`)).body.status).toBe("expired");
  });

  it("is rotated: the new key has the old one's settings, and the old one works until the overlap ends", async () => {
    const { id, key } = (
      await admin("POST", "/keys", { tenant: "rotation", name: "app", tpm: 1_000 })
    ).body as { id: string; key: string };
    const next = await admin("POST", `/keys/${id}/rotate`, { overlap_seconds: 60 });
    expect(next.body).toMatchObject({ name: "app", tpm: 1_000, tenant: "rotation" });
    for (const each of [key, String(next.body.key)]) expect((await models(each)).status).toBe(200);
    const last = await admin("POST", `/keys/${next.body.id}/rotate`, { overlap_seconds: 0 });
    expect((await models(String(next.body.key))).status).toBe(401);
    expect((await models(String(last.body.key))).status).toBe(200);
    expect(
      (await admin("POST", `/keys/${next.body.id}/rotate`, { overlap_seconds: 0 })).body,
    ).toMatchObject({
      error: { code: "key_expired" },
    });
  });

  it("is listed in pages", async () => {
    for (let n = 0; n < 5; n++) await makeKey("pages");
    const seen: unknown[] = [];
    for (let after = ""; ; ) {
      const { body } = await admin("GET", `/keys?tenant=pages&limit=2&after=${after}`);
      seen.push(...(body.keys as Json[]).map(({ id }) => id));
      if (body.next === null) break;
      after = String(body.next);
    }
    expect(seen).toHaveLength(5);
    expect(new Set(seen).size).toBe(5);
  });

  it.each([
    ["POST", "/keys", { tenant: "a", rmp: 5 }, 400],
    ["POST", "/keys", { tenant: "a", scopes: ["admin"] }, 400],
    ["PATCH", "/keys/none", { name: "x" }, 404],
    ["PATCH", "/keys/none", { tenant: "b" }, 400],
    ["DELETE", "/keys/none", undefined, 404],
    ["POST", "/keys/none/rotate", { overlap_seconds: 0 }, 404],
    ["GET", "/keys?limit=0", undefined, 400],
  ])("%s %s %j is refused with %d", async (method, path, body, status) => {
    expect((await admin(method, path, body)).status).toBe(status);
  });
});

describe("what a key is for", () => {
  it("scopes open what they name and nothing else", async () => {
    const scoped = async (scope: string) =>
      String((await admin("POST", "/keys", { tenant: "scopes", scopes: [scope] })).body.key);
    const [inference, usage] = [await scoped("inference"), await scoped("usage")];
    expect((await chat(inference, "hi")).status).toBe(200);
    expect((await call("/v1/usage", { headers: bearer(usage) })).status).toBe(200);
    const refusals = [
      await chat(usage, "hi"),
      await call("/v1/usage", { headers: bearer(inference) }),
    ];
    for (const response of refusals) {
      expect(response.status).toBe(403);
      expect(await response.json()).toMatchObject({
        error: { type: "permission_error", code: "insufficient_scope" },
      });
    }
  });

  it("a model that it may not use is as if unknown", async () => {
    const { key } = (await admin("POST", "/keys", { tenant: "models", models: ["another"] })).body;
    const list = (await (await models(String(key))).json()) as { data: unknown[] };
    expect(list.data).toEqual([]);
    const refused = await chat(String(key), "hi");
    expect(refused.status).toBe(404);
    expect(await refused.json()).toMatchObject({ error: { code: "model_not_found" } });
  });
});

describe("the audit log", () => {
  it("has each change, the newest first, without any key", async () => {
    const { id, key } = await makeKey("audit");
    await admin("PATCH", `/keys/${id}`, { name: "renamed" });
    const rotated = await admin("POST", `/keys/${id}/rotate`, { overlap_seconds: 5 });
    await admin("DELETE", `/keys/${id}`);
    const { body } = await admin("GET", "/audit?tenant=audit");
    const entries = body.entries as Json[];
    expect(entries.map(({ action }) => action)).toEqual([
      "key.revoke",
      "key.rotate",
      "key.change",
      "key.create",
    ]);
    expect(entries.every((entry) => entry.key === id && entry.tenant === "audit")).toBe(true);
    expect(entries[2]?.detail).toMatchObject({ name: "renamed" });
    expect(entries[1]?.detail).toMatchObject({ newKey: rotated.body.id });
    const { results } = await env.DB.prepare("SELECT * FROM audit").all();
    for (const secret of [key, String(rotated.body.key)]) {
      expect(JSON.stringify(results)).not.toContain(secret.slice(-40));
    }
    const page = (await admin("GET", `/audit?tenant=audit&limit=1&before=${entries[0]?.id}`)).body;
    expect(page.entries).toEqual([entries[1]]);
    expect(page.next).toBe(entries[1]?.id);
  });
});
