// What operators set by forms: keys' settings, tenants, upstreams.
import { describe, expect, it } from "vitest";
import { expectAccessible, type Site } from "./site.ts";

const model = "anabranch-small";
/** The longest that a page waits for what the pool's next check finds. */
const nextCheck = 20_000;

const admin = <T>({ call, cluster }: Site, path: string) =>
  call<T>(`/admin/v1${path}`, cluster.adminToken);

const describeKeys = (open: () => Site) => {
  it("changes what it shows, and leaves the rest", async () => {
    const site = open();
    const made = { tenant: "formed", rpm: 60, expires_at: 4_000_000_000 };
    const init = { method: "POST", body: JSON.stringify(made) };
    await site.call("/admin/v1/keys", site.cluster.adminToken, init);
    const page = await site.page("keys?tenant=formed");
    await page.getByRole("button", { name: "Change" }).click();
    const form = page.getByRole("form", { name: /^Change / });
    expect(await form.getByLabel("Requests a minute").inputValue()).toBe("60");
    expect(await page.evaluate("document.activeElement.labels[0].textContent")).toBe("Name");
    await form.getByLabel("Name").fill("of a form");
    await form.getByLabel("Requests a minute").fill("");
    await form.getByLabel("Tokens a month").fill("1234567");
    await expectAccessible(page);
    await form.getByRole("button", { name: "Save" }).click();
    await page.getByRole("row").filter({ hasText: "of a form" }).waitFor();
    expect(await page.getByRole("row").last().textContent()).toContain("1,234,567");
    const { keys } = await admin<{ keys: object[] }>(open(), "/keys?tenant=formed");
    expect(keys).toMatchObject([
      { name: "of a form", rpm: null, tokens_per_month: 1_234_567, expires_at: 4_000_000_000 },
    ]);
  });
};

const describeTenants = (open: () => Site) => {
  it("are listed with what they have spent, and changed; a new one begins with a key", async () => {
    const site = open();
    const key = await site.cluster.key("tended");
    const body = { model, messages: [{ role: "user", content: "Hi" }], max_tokens: 5 };
    const init = { method: "POST", body: JSON.stringify(body) };
    await site.call("/v1/chat/completions", key, init);
    const page = await site.page("tenants");
    const row = page.getByRole("row").filter({ hasText: "tended" });
    await row.getByRole("button", { name: "Change" }).click();
    const form = page.getByRole("form", { name: "Change tended" });
    expect(await form.getByLabel("Weight").inputValue()).toBe("1");
    await form.getByLabel("Weight").fill("3");
    await form.getByLabel("Tokens a month").fill("1000000");
    await form.getByLabel("Money a month").fill("12.50");
    await expectAccessible(page);
    await form.getByRole("button", { name: "Save" }).click();
    const tenant = await expect
      .poll(() => admin<Record<string, unknown>>(open(), "/tenants/tended"))
      .toMatchObject({ weight: 3, tokens_per_month: 1_000_000, cost_per_month: "12.5" })
      .then(() => admin<{ month: { tokens: number } }>(open(), "/tenants/tended"));
    expect(tenant.month.tokens).toBeGreaterThan(0);
    const left = (1_000_000 - tenant.month.tokens).toLocaleString("en");
    await row.getByText(`of 1,000,000, ${left} left`).waitFor();
    await row.getByRole("link", { name: "Keys" }).click();
    await page.getByRole("heading", { name: "Keys" }).waitFor();
    expect(page.url()).toContain("tenant=tended");
    await page.goBack();
    await page.getByRole("link", { name: "New tenant" }).click();
    const newKey = page.getByRole("form", { name: "A new key" });
    await newKey.getByLabel("Tenant").waitFor();
  });

  it("whose changes are refused stay as they are, and the form says why", async () => {
    const page = await open().page("tenants");
    await page.getByRole("button", { name: "Change" }).first().click();
    const form = page.getByRole("form", { name: /^Change / });
    await form.getByLabel("Requests a minute").fill("1000000001");
    await form.getByRole("button", { name: "Save" }).click();
    await form.getByRole("alert").getByText("rpm").waitFor();
    await form.getByRole("button", { name: "Cancel" }).click();
    expect(await page.getByRole("form").count()).toBe(0);
    // The browser itself reports answers with an error's status.
    expect(open().problems.splice(0)).toEqual([expect.stringContaining("400")]);
  });
};

const describeUpstreams = (open: () => Site) => {
  it("are added, changed, watched and removed", async () => {
    const site = open();
    // This gateway, by another name.
    const credential = await site.cluster.key("mirror");
    const { keys } = await admin<{ keys: { id: string }[] }>(open(), "/keys?tenant=mirror");
    const page = await site.page("upstreams");
    await page.getByText("No upstreams").waitFor();
    await expectAccessible(page);
    await page.getByRole("button", { name: "Add an upstream" }).click();
    const form = page.getByRole("form", { name: "A new upstream" });
    await form.getByLabel("Name").fill("mirror");
    await form.getByLabel("Base URL").fill(`${site.cluster.url}/v1`);
    await form.getByLabel("Models").fill(`mirrored=${model}`);
    await form.getByRole("button", { name: "Add" }).click();
    await form.getByRole("alert").getByText("status 401").waitFor();
    expect(site.problems.splice(0)).toEqual([expect.stringContaining("422")]);
    await form.getByLabel("Credential").fill(credential);
    await form.getByRole("button", { name: "Add" }).click();
    const row = page.getByRole("row").filter({ hasText: "mirror" });
    await row.getByText("healthy").waitFor();
    expect(await row.textContent()).toMatch(/with a credential.*mirrored.*1,024/);
    expect(await page.content()).not.toContain(credential);

    await row.getByRole("button", { name: "Change" }).click();
    const changes = page.getByRole("form", { name: "Change mirror" });
    expect(await changes.getByLabel("Models").inputValue()).toBe(`mirrored=${model}`);
    await changes.getByLabel("Requests at once").fill("7");
    await changes.getByLabel("tools").check();
    await expectAccessible(page);
    await changes.getByRole("button", { name: "Save" }).click();
    await changes.waitFor({ state: "detached" });
    expect(await admin(open(), "/upstreams")).toMatchObject({
      upstreams: [{ id: "mirror", max_requests: 7, without: ["tools"], has_credential: true }],
    });

    const { adminToken, url } = site.cluster;
    const revoked = await fetch(`${url}/admin/v1/keys/${keys[0]?.id}`, {
      ...{ method: "DELETE", headers: { authorization: `Bearer ${adminToken}` } },
    });
    expect(revoked.status).toBe(200);
    await row.getByText("unusable").waitFor({ timeout: nextCheck });
    await row.getByText("answers with status 401").waitFor();
    await expectAccessible(page);
    await row.getByRole("button", { name: "Remove" }).click();
    await page.getByRole("group", { name: "Remove mirror" }).getByText("Remove").last().click();
    await page.getByText("No upstreams").waitFor();
    expect(await admin(open(), "/upstreams")).toEqual({ upstreams: [] });
  }, 60_000);
};

export function describeForms(open: () => Site): void {
  describe("a key's form", () => describeKeys(open));
  describe("tenants", () => describeTenants(open));
  describe("upstreams", () => describeUpstreams(open));
}
