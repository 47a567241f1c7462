// The reference of the API, as somebody without credentials reads it.
import { afterAll, beforeAll, expect, it } from "vitest";
import { expectAccessible, expectFits, openSite, type Site } from "./site.ts";

let site: Site;
beforeAll(async () => {
  site = await openSite();
}, 60_000);
afterAll(() => site.close());

it("shows every route at /docs, to everybody", async () => {
  const page = await site.page("playground");
  await page.evaluate("sessionStorage.clear()");
  await page.goto(`${site.cluster.url}/docs`);
  await page.getByRole("heading", { name: "Operators" }).waitFor();
  const response = await fetch(`${site.cluster.url}/openapi.json`);
  const { paths } = (await response.json()) as { paths: Record<string, object> };
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const shown = await page.locator(".route > summary").allInnerTexts();
  for (const route of routes)
    expect(
      shown.filter((text) => text.replaceAll("\n", " ").includes(route)),
      route,
    ).not.toEqual([]);
  const chat = page.locator(".route", { hasText: "/v1/chat/completions" }).first();
  await chat.locator("summary").first().click();
  await chat.getByText("curl", { exact: false }).first().waitFor();
  await chat.getByText("max_tokens", { exact: true }).first().waitFor();
  await expectAccessible(page);
  await page.setViewportSize({ width: 360, height: 740 });
  await expectFits(page);
  expect(site.problems).toEqual([]);
});
