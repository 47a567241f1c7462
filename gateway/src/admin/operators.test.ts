import { describe, expect, it } from "vitest";
import { adminHeaders, bearer, call, makeKey } from "../../test/gateway-client.ts";

interface Made {
  id: string;
  credential: string;
}

const make = async (fields: object, headers: HeadersInit = adminHeaders) => {
  const body = JSON.stringify(fields);
  return await call("/admin/v1/operators", { method: "POST", headers, body });
};
const made = async (fields: object) => await (await make(fields)).json<Made>();
const create = async (credential: string, tenant: string) =>
  await call("/admin/v1/keys", {
    ...{ method: "POST", headers: bearer(credential), body: JSON.stringify({ tenant }) },
  });
const reads = async (credential: string) =>
  (await call("/admin/v1/keys", { headers: bearer(credential) })).status;
const revoke = async (id: string) =>
  (await call(`/admin/v1/operators/${id}`, { method: "DELETE", headers: adminHeaders })).status;

describe("operators' credentials", () => {
  it("open what their scope says, and the audit log has who did it", async () => {
    const all = await made({ name: "alice" });
    const reader = await made({ name: "rita", scope: "read" });
    expect((await create(all.credential, "of-alice")).status).toBe(200);
    const refused = await create(reader.credential, "of-rita");
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ error: { code: "insufficient_scope" } });
    expect((await make({ name: "more" }, bearer(reader.credential))).status).toBe(403);
    expect(await reads(reader.credential)).toBe(200);
    const audit = await call("/admin/v1/audit?tenant=of-alice", { headers: adminHeaders });
    expect(await audit.json()).toMatchObject({
      entries: [{ action: "key.create", operator: all.id }],
    });
  });

  it("are rotated without a restart: the next one works, and the old one ends at once", async () => {
    const old = await made({ name: "bob" });
    const next = await made({ name: "bob" });
    expect(await reads(old.credential)).toBe(200);
    expect(await revoke(old.id)).toBe(200);
    expect(await reads(old.credential)).toBe(401);
    expect(await reads(next.credential)).toBe(200);
    const list = await (await call("/admin/v1/operators", { headers: adminHeaders })).text();
    expect(list).toContain(next.id);
    expect(list).not.toContain(next.credential);
    expect(list).not.toContain("hash");
  });

  it("end when they expire, open no tenant's routes, and no key opens theirs", async () => {
    const expired = await made({ name: "carl", expires_at: 1 });
    expect(await reads(expired.credential)).toBe(401);
    const { credential } = await made({ name: "dora" });
    expect((await call("/v1/models", { headers: bearer(credential) })).status).toBe(401);
    expect(await reads((await makeKey("no-operator")).key)).toBe(401);
    expect(await revoke("nobody")).toBe(404);
  });

  it("can't be exchanged for the credential of the environment", async () => {
    const { credential } = await made({ name: "eve" });
    const body = JSON.stringify({ key: "x" });
    const init = { method: "POST", headers: bearer(credential), body };
    expect((await call("/admin/v1/sign-in", init)).status).toBe(403);
  });

  it.each([{}, { name: "" }, { name: "x", scope: "none" }, { name: "x", more: 1 }])(
    "refuse %j",
    async (fields) => expect((await make(fields)).status).toBe(400),
  );
});
