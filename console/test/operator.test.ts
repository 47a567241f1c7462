// Signing in, and the operator's pages, in a real browser before the real system.
import { once } from "node:events";
import type { BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { describeForms } from "./operator-forms.ts";
import { expectAccessible, expectFits, openSite, type Site } from "./site.ts";

let site: Site;
beforeAll(async () => {
  site = await openSite();
  await site.cluster.addWorker("stays");
}, 60_000);
afterAll(() => site.close());
afterEach(() => expect(site.problems.splice(0)).toEqual([]));

const model = "anabranch-small";
const refresh = 15_000;

function chat(key: string, fields: object = {}): Promise<Response> {
  return fetch(`${site.cluster.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}` },
    body: JSON.stringify({
      ...{ model, messages: [{ role: "user", content: "Compare Tokyo, Paris and Cairo." }] },
      ...{ max_tokens: 200, temperature: 0, ...fields },
    }),
  });
}

describe("signing in", () => {
  it("by a link leaves no token in the address and no credential beyond the tab", async () => {
    const page = await site.page("playground");
    expect(page.url()).toBe(`${site.cluster.url}/#/playground`);
    expect(await page.evaluate<string>("JSON.stringify(localStorage)")).not.toMatch(/sk-ab/);
    const stored = await page.evaluate<string>("JSON.stringify(sessionStorage)");
    expect(stored).toContain(site.key);
    const other = await page.context().newPage();
    await other.goto(site.cluster.url);
    await other.getByRole("heading", { name: "Sign in" }).waitFor();
    await expectAccessible(other);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    expect(await page.evaluate<string>("JSON.stringify(sessionStorage)")).not.toMatch(/sk-ab/);
  });

  it("by a link in a tab that shows the console already", async () => {
    const page = await site.page("playground");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    const link = await site.link();
    await page.evaluate(`location.href = ${JSON.stringify(link)}`);
    await page.getByRole("button", { name: "Sign out" }).waitFor();
    expect(page.url()).toBe(`${site.cluster.url}/#/playground`);
  });

  it("by a link that was used says so, and takes credentials instead", async () => {
    const page = await site.page("playground");
    await page.evaluate("sessionStorage.clear()");
    await page.goto(`${site.cluster.url}/?again#sign-in=${"0".repeat(64)}`);
    await page.getByText("This link has been used, or is too old.").waitFor();
    // The browser itself reports answers with an error's status.
    expect(site.problems.splice(0).every((text) => text.includes("401"))).toBe(true);
    await page.getByLabel("API key").fill(site.key);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByLabel("Model").waitFor();
    await page.getByRole("link", { name: "Keys" }).click();
    await page.getByText("This page is the operator's").waitFor();
    await page.getByLabel("Operator's credential").fill(site.cluster.adminToken);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("button", { name: "New key" }).waitFor();
  });
});

it("credentials that the gateway does not know sign nobody in", async () => {
  const page = await site.page("playground");
  await page.getByRole("button", { name: "Sign out" }).click();
  for (const [label, other] of [
    ["API key", site.cluster.adminToken],
    ["Operator's credential", site.key],
  ] as const) {
    await page.getByLabel(label).fill(other);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("status").or(page.getByRole("alert")).getByText(`${label}: `).waitFor();
    await page.getByLabel(label).fill("");
  }
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  expect(site.problems.splice(0).every((text) => text.includes("401"))).toBe(true);
});

describe("keys", () => {
  it("have their buttons in view, and those that ended can be changed", async () => {
    const page = await site.page("keys?tenant=ended");
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.getByRole("button", { name: "New key" }).click();
    const form = page.getByRole("form", { name: "A new key" });
    await form.getByLabel("Tenant").fill("ended");
    await form.getByLabel("Ends after").fill("2020-01-01");
    await page.getByRole("button", { name: "Create" }).click();
    expect(await form.locator("input:invalid").count()).toBe(1);
    await form.getByLabel("Ends after").fill("");
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("button", { name: "I have it" }).click();
    const revoke = page.getByRole("button", { name: "Revoke" });
    const box = await revoke.boundingBox();
    expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThan(1280);

    const [{ id }] = (
      await site.call<{ keys: [{ id: string }] }>(
        "/admin/v1/keys?tenant=ended",
        site.cluster.adminToken,
      )
    ).keys;
    const body = JSON.stringify({ expires_at: 1 });
    await site.call(`/admin/v1/keys/${id}`, site.cluster.adminToken, { method: "PATCH", body });
    await page.reload();
    await page.getByRole("row").filter({ hasText: "expired" }).waitFor();
    await page.getByRole("button", { name: "Change" }).click();
    await page.getByLabel("Ends after").fill("2099-01-01");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("row").filter({ hasText: "active" }).waitFor();
  });

  const secretOf = async (page: Page) => {
    const secret = page.getByRole("region", { name: "The new key" });
    const text = (await secret.locator("code").textContent()) ?? "";
    await page.getByRole("button", { name: "I have it" }).click();
    expect(await page.content()).not.toContain(text);
    return text;
  };
  const confirm = async (page: Page, what: string) => {
    await page
      .getByRole("row")
      .filter({ hasText: "active" })
      .getByRole("button", { name: what })
      .first()
      .click();
    await page.getByRole("group").getByRole("button", { name: what, exact: true }).click();
  };

  it("are made, rotated and revoked, and the audit log says so", async () => {
    const page = await site.page("keys?tenant=lifecycle");
    await page.getByRole("button", { name: "New key" }).click();
    const form = page.getByRole("form", { name: "A new key" });
    await form.getByLabel("Tenant").fill("lifecycle");
    await form.getByLabel("Name").fill("of a test");
    await form.getByLabel("Requests a minute").fill("60");
    await form.getByLabel("usage").uncheck();
    await page.getByRole("button", { name: "Create" }).click();
    const first = await secretOf(page);
    expect((await chat(first)).status).toBe(200);
    expect(
      (
        await fetch(`${site.cluster.url}/v1/usage`, {
          headers: { authorization: `Bearer ${first}` },
        })
      ).status,
    ).toBe(403);
    const shown = page.getByRole("row").filter({ hasText: "of a test" });
    expect(await shown.textContent()).toMatch(/lifecycle.*active.*inference.*all.*60/);

    await confirm(page, "Rotate");
    const second = await secretOf(page);
    expect((await chat(second)).status).toBe(200);
    for (const _ of [first, second]) {
      const active = await page.getByRole("row").filter({ hasText: "active" }).count();
      await confirm(page, "Revoke");
      await expect
        .poll(() => page.getByRole("row").filter({ hasText: "active" }).count())
        .toBe(active - 1);
    }
    for (const key of [first, second]) {
      await expect.poll(async () => (await chat(key)).status, { timeout: 10_000 }).toBe(401);
    }

    await page.evaluate(`location.hash = "#/audit?tenant=lifecycle"`);
    await page.getByRole("heading", { name: "Audit" }).waitFor();
    await page.getByRole("row").nth(4).waitFor();
    const { entries } = await site.call<{ entries: { action: string }[] }>(
      ...(["/admin/v1/audit?tenant=lifecycle", site.cluster.adminToken] as const),
    );
    const actions = await page.locator("tbody th").allTextContents();
    expect(actions).toEqual(entries.map(({ action }) => action));
    await page.reload();
    await page.getByRole("row").nth(4).waitFor();
    expect(await page.content()).not.toContain(first);
  }, 60_000);
});

describeForms(() => site);

describe("usage", () => {
  it("shows the API's numbers, in charts and as a table, by any group", async () => {
    const key = await site.cluster.key("charts");
    for (let count = 0; count < 3; count++) await (await chat(key)).text();
    await (await chat(key, { max_tokens: 5, anabranch: { mode: "serial" } })).text();
    const ask = async (by: string) =>
      (
        await site.call<{ rows: Record<string, number>[] }>(
          ...([`/admin/v1/usage?by=${by}`, site.cluster.adminToken] as const),
        )
      ).rows;
    await expect
      .poll(
        async () =>
          (await ask("tenant")).find(({ tenant }) => String(tenant) === "charts")?.requests,
        { timeout: 10_000 },
      )
      .toBe(4);

    const page = await site.page("usage?by=tenant&percentile=p50");
    const rows = await ask("hour,tenant");
    const tenants = [...new Set(rows.map(({ tenant }) => String(tenant)))];
    const values: Record<string, (row: Record<string, number>) => number> = {
      Requests: ({ requests = 0 }) => requests,
      Tokens: ({ prompt_tokens = 0, completion_tokens = 0 }) => prompt_tokens + completion_tokens,
      "Speed-up": ({ visible_tokens = 0, steps = 1 }) =>
        Math.round((100 * visible_tokens) / steps) / 100,
      Branches: ({ branches = 0 }) => branches,
      "Cache hits": ({ cache_hits = 0 }) => cache_hits,
    };
    for (const [title, shownOf] of Object.entries(values)) {
      const chart = page
        .getByRole("figure")
        .filter({ has: page.getByRole("heading", { name: title, exact: true }) });
      await chart.locator("canvas").waitFor();
      await chart.getByRole("button", { name: "Table" }).click();
      const heads = await chart.locator("thead th").allTextContents();
      const cells = await chart
        .locator("tbody tr")
        .evaluateAll((all) =>
          all.map((row) => [...row.querySelectorAll("td")].map(({ textContent }) => textContent)),
        );
      for (const tenant of tenants) {
        const column = heads.indexOf(tenant) - 1;
        const drawn = cells
          .map((row) => row[column])
          .filter((cell) => cell !== "–" && cell !== "0");
        const expected = rows.filter((row) => String(row.tenant) === tenant).map(shownOf);
        expect(
          drawn.map((cell) => Number(cell?.replaceAll(",", ""))),
          `${title} of ${tenant}`,
        ).toEqual(expected.filter((value) => value !== 0));
      }
    }
    const total = page.getByRole("row", { name: /^charts/ }).last();
    expect(await total.locator('[data-name="requests"]').textContent()).toBe("4");
    await expectAccessible(page);

    const saved = page.waitForEvent("download");
    await page.getByRole("button", { name: "Export CSV" }).click();
    expect((await saved).suggestedFilename()).toBe("usage.csv");
    await page.getByLabel("By").selectOption("");
    await page.reload();
    expect(await page.getByLabel("Percentile").inputValue()).toBe("p50");
    await page.getByLabel("Interval").selectOption("7");
    await page.locator("canvas").first().waitFor();
  }, 60_000);

  it("says what to do where nothing was asked", async () => {
    const page = await site.page("usage?from=2020-01-01&to=2020-01-02");
    await page.getByText("Nothing was asked in this interval").waitFor();
    await expectAccessible(page);
  });
});

describe("a tenant's own usage", () => {
  it("shows the API's numbers and what is left of the month, to a key and no operator", async () => {
    const key = await site.cluster.key("own", { rpm: 2, tokens_per_month: 100_000 });
    for (let count = 0; count < 2; count++) {
      expect((await chat(key, { anabranch: { cache: "bypass" } })).status).toBe(200);
    }
    expect((await chat(key)).status).toBe(429);

    const page = await site.page("playground");
    await page.evaluate(`sessionStorage.setItem("anabranch.key", JSON.stringify("${key}"));
      sessionStorage.removeItem("anabranch.admin")`);
    await page.reload();
    await page.getByRole("link", { name: "My usage" }).click();
    const own = page.getByRole("row", { name: /^This key/ });
    const left = own.locator("[data-name=tokens-left]");
    // Refused requests are counted within a second.
    type Usage = { month: { key: { tokens: number } }; totals: Record<string, number> };
    const ask = () => site.call<Usage>("/v1/usage?by=hour", key);
    await expect.poll(async () => (await ask()).totals.refused, { timeout: 10_000 }).toBe(1);
    const { month, totals } = await ask();
    expect(totals.requests).toBe(2);
    expect(month.key.tokens).toBe((totals.prompt_tokens ?? 0) + (totals.completion_tokens ?? 0));
    const expected = (100_000 - month.key.tokens).toLocaleString("en");
    await expect.poll(() => left.textContent(), { timeout: refresh }).toBe(expected);

    const shown = async (title: string) => {
      const chart = page
        .getByRole("figure")
        .filter({ has: page.getByRole("heading", { name: title, exact: true }) });
      await chart.locator("canvas").waitFor();
      await chart.getByRole("button", { name: "Table" }).click();
      const cells = await chart.locator("tbody td").allTextContents();
      await chart.getByRole("button", { name: "Table" }).click();
      return cells.reduce((sum, cell) => sum + Number(cell.replaceAll(",", "") || 0), 0);
    };
    await expect.poll(() => shown("Requests"), { timeout: 2 * refresh }).toBe(3);
    expect(await shown("Tokens")).toBe(month.key.tokens);
    expect(await shown("Refused")).toBe(1);
    await expectAccessible(page);
    await page.getByLabel("By").selectOption("key");
    await page.reload();
    expect(await page.getByLabel("By").inputValue()).toBe("key");
    await page.getByRole("link", { name: "Usage", exact: true }).click();
    await page.getByText("This page is the operator's").waitFor();
  }, 60_000);
});

describe("money", () => {
  it("is shown where models have prices: what was spent, and what is left of a key's budget", async () => {
    const admin = (path: string, body?: object) =>
      site.call<Record<string, unknown>>(`/admin/v1${path}`, site.cluster.adminToken, {
        ...(body && { method: "POST", body: JSON.stringify(body) }),
      });
    expect((await chat(site.key)).status).toBe(200);
    const usage = await site.page("usage");
    await usage.locator("[data-name=requests]").first().waitFor();
    expect(await usage.getByText(/^Cost/).count()).toBe(0);
    await admin("/prices", { model, currency: "EUR", prompt: "10", visible: "1000" });
    const page = await site.page("keys?tenant=money");
    await page.getByRole("button", { name: "New key" }).click();
    const form = page.getByRole("form", { name: "A new key" });
    await form.getByLabel("Tenant").fill("money");
    await form.getByLabel("Money a month").fill("2.5");
    await page.getByRole("button", { name: "Create" }).click();
    const secret = page.getByRole("region", { name: "The new key" }).locator("code");
    const key = (await secret.textContent()) ?? "";
    await page.getByRole("button", { name: "I have it" }).click();
    await page.getByText("2.50 left").waitFor();
    // Prices hold everywhere within two seconds.
    const spent = async () => {
      expect((await chat(key, { anabranch: { cache: "bypass" } })).status).toBe(200);
      const { month } = await admin("/tenants/money");
      return Number((month as { cost: string }).cost);
    };
    await expect.poll(spent, { timeout: 10_000 }).toBeGreaterThan(0);
    const { month } = await admin("/tenants/money");
    const { cost } = month as { cost: string };
    const left = ((2_500_000 - Math.round(1e6 * Number(cost))) / 1e6).toLocaleString("en", {
      ...{ minimumFractionDigits: 2, maximumFractionDigits: 6 },
    });
    await page.reload();
    await page.getByText(`${left} left`).waitFor();
    await expectAccessible(page);
    const money = await site.page("usage?by=tenant");
    const row = money.getByRole("row").filter({ hasText: "money" });
    await expect
      .poll(() => row.locator("[data-name=cost]").textContent(), { timeout: refresh })
      .toBe(cost);
    await money.getByRole("columnheader", { name: "Cost, EUR" }).waitFor();
    await expectAccessible(money);
  });
});

describe("the pool", () => {
  it("shows a worker that joins, is drained, and stops", async () => {
    const page = await site.page("pool");
    const card = (id: string) =>
      page.getByRole("listitem").filter({ has: page.getByRole("heading", { name: id }) });
    await card("stays").getByText("healthy").waitFor();
    await card("stays").getByText(model).first().waitFor();
    const worker = await site.cluster.addWorker("leaves");
    await card("leaves").getByText("healthy").waitFor({ timeout: refresh });
    worker.kill("SIGKILL");
    await once(worker, "exit");
    await card("leaves").getByText("silent", { exact: true }).waitFor({ timeout: refresh });
    await expectAccessible(page);

    await site.cluster.addWorker("drained");
    await card("drained").getByRole("button", { name: "Drain" }).click();
    await card("drained").getByRole("button", { name: "Drain", exact: true }).click();
    await card("drained").getByText("draining", { exact: true }).waitFor({ timeout: refresh });
    const rows = await site.cluster.pool();
    expect(rows.find(({ id }) => id === "drained")?.draining).toBe(true);
    await card("stays").getByText("healthy").waitFor();
  }, 60_000);
});

/** Pages of one tab, each of which has to fit its window. */
function describeFits(pages: readonly string[], options: BrowserContextOptions) {
  let page: Page;
  beforeAll(async () => {
    page = await site.page(pages[0] ?? "", options);
  });
  it.each(pages)("%s fits and can be used", async (name) => {
    await page.evaluate(`location.hash = "#/${name}"`);
    const shown = ["table", "canvas", ".note", "textarea"].map((at) => `.page-${name} ${at}`);
    await page.locator(shown.join(", ")).first().waitFor();
    await expectFits(page);
    await expectAccessible(page);
  });
}

const operatorPages = ["mine", "pool", "upstreams", "usage", "tenants", "keys", "audit"];

describe.each(["light", "dark"] as const)("on a phone, %s", (colorScheme) => {
  describeFits(operatorPages, { colorScheme, viewport: { width: 360, height: 740 } });
});

describe("at 200% zoom", () => {
  // A browser's zoom halves the pixels of the page that a window has, and doubles the device's for each.
  const zoomed = { viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 };
  describeFits(["playground", ...operatorPages], zoomed);
});
