import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { serve } from "./serve.ts";

const state = mkdtempSync(join(tmpdir(), "anabranch-local-"));
afterAll(() => rmSync(state, { recursive: true, force: true }));

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
});
