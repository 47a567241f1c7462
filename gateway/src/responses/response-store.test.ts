import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { ResponseStore } from "./response-store.ts";

const stub = (tenant: string) => env.TENANT.get(env.TENANT.idFromName(tenant));

it("keeps responses for a time, within bounds", async () => {
  await runInDurableObject(stub("store"), (_, { storage: { sql } }) => {
    const store = new ResponseStore(sql);
    const large = { response: "{}", messages: "x".repeat(600_000) };
    expect(store.put("huge", { ...large, messages: "x".repeat(700_000) })).toBe(false);
    expect(store.get("huge")).toBeNull();
    for (let n = 0; n < 40; n++) {
      sql.exec("UPDATE responses SET expires = expires - 1000");
      expect(store.put(`r${n}`, large)).toBe(true);
    }
    // The oldest made room.
    expect(store.get("r0")).toBeNull();
    expect(store.get("r39")).toEqual(large);
    const [total] = sql.exec<{ bytes: number }>("SELECT sum(bytes) AS bytes FROM responses");
    expect(total?.bytes).toBeLessThanOrEqual(64_000_000);
    expect(store.nextExpiry).toBeGreaterThan(Date.now() + 29 * 86_400_000);
    sql.exec("UPDATE responses SET expires = ? WHERE id = 'r39'", Date.now() - 1);
    expect(store.get("r39")).toBeNull();
    store.expire();
    expect(sql.exec("SELECT id FROM responses WHERE id = 'r39'").toArray()).toEqual([]);
  });
});
