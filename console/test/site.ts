// The console as people use it: the whole system, a browser, and pages that watch for what must not happen.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openTestCluster, type TestCluster } from "@anabranch/gateway/local/test-cluster.ts";
import type { BrowserContextOptions, Page } from "playwright-core";
import { expect } from "vitest";
import { openBrowser } from "./browser.ts";

export interface Site {
  cluster: TestCluster;
  /** An API key of the tenant "console". */
  key: string;
  /** What pages said on their consoles, where policy violations are reported, too, and what they did not catch. */
  problems: string[];
  /** A page of its own browser profile that is signed in by a link, at `#/…`. */
  page(at: string, options?: BrowserContextOptions): Promise<Page>;
  /** A link that signs in. */
  link(): Promise<string>;
  /** A call of the API. */
  call<T>(path: string, credential: string, init?: RequestInit): Promise<T>;
  close(): Promise<void>;
}

export async function openSite(): Promise<Site> {
  const cluster = await openTestCluster();
  const browser = await openBrowser();
  const key = await cluster.key("console");
  const problems: string[] = [];

  async function call<T>(path: string, credential: string, init: RequestInit = {}): Promise<T> {
    const headers = { authorization: `Bearer ${credential}` };
    const response = await fetch(`${cluster.url}${path}`, { ...init, headers });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  async function link(): Promise<string> {
    const init = { method: "POST", body: JSON.stringify({ key }) };
    const offer = await call<{ token: string }>("/admin/v1/sign-in", cluster.adminToken, init);
    return `${cluster.url}/#sign-in=${offer.token}`;
  }

  return {
    ...{ cluster, key, problems, link, call },
    async page(at, options) {
      const context = await browser.newContext({ locale: "en-US", ...options });
      const page = await context.newPage();
      page.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) problems.push(message.text());
      });
      page.on("pageerror", (error) => problems.push(error.message));
      await page.goto(await link());
      await page.getByRole("navigation").waitFor();
      await page.evaluate(`location.hash = ${JSON.stringify(`#/${at}`)}`);
      await page.locator(`.page-${at.split("?")[0]}`).waitFor();
      return page;
    },
    async close() {
      await browser.close();
      await cluster.close();
    },
  };
}

const axe = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");

/** What axe-core finds that keeps somebody from using the page. */
export async function expectAccessible(page: Page): Promise<void> {
  await page.evaluate(axe);
  const found: string[] = await page.evaluate(`axe.run().then(({ violations }) => violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html).join(" ")))`);
  expect(found).toEqual([]);
}

/** Nothing is wider than the screen. */
export async function expectFits(page: Page): Promise<void> {
  const [content, screen] = await page.evaluate<number[]>(
    "[document.documentElement.scrollWidth, innerWidth]",
  );
  expect(content).toBeLessThanOrEqual(screen ?? 0);
}
