import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { bearer, call, makeKey } from "../test/gateway-client.ts";

/** Paths of the OpenAPI document that need no credential. A new route is guarded unless listed here. */
const publicPaths = ["/health"];

interface Operation {
  security?: { [scheme: string]: unknown }[];
}

async function operations(): Promise<{ method: string; path: string; operation: Operation }[]> {
  const document = await (await call("/openapi.json")).json<{
    paths: Record<string, Record<string, Operation>>;
  }>();
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...{ method: method.toUpperCase(), operation },
      path: path.replaceAll(/\{\w+\}/g, "x"),
    })),
  );
}

describe("every route of the OpenAPI document", () => {
  let key: string;
  beforeEach(async () => {
    key = (await makeKey("routes")).key;
  });

  it("refuses callers without a credential, with a wrong one, and with the other side's", async () => {
    let guarded = 0;
    for (const { method, path, operation } of await operations()) {
      const status = async (headers: Record<string, string>) => {
        const body = method === "POST" ? { body: "{}" } : {};
        return (await call(path, { method, headers, ...body })).status;
      };
      if (publicPaths.includes(path)) {
        expect(await status({}), path).toBe(200);
        continue;
      }
      guarded++;
      const [scheme = {}] = operation.security ?? [];
      const other = "admin" in scheme ? key : env.ANABRANCH_ADMIN_TOKEN;
      for (const headers of [{}, bearer("sk-ab-unknown"), bearer(other)]) {
        expect(await status(headers), `${method} ${path}`).toBe(401);
      }
      const own = "admin" in scheme ? env.ANABRANCH_ADMIN_TOKEN : key;
      expect(await status(bearer(own)), `${method} ${path}`).not.toBe(401);
    }
    expect(guarded).toBeGreaterThan(0);
  });
});

describe("a method that a path does not take", () => {
  it.each([
    ["GET", "/v1/chat/completions", "POST"],
    ["DELETE", "/v1/models", "GET"],
    ["PUT", "/admin/v1/keys", "POST, GET"],
    ["POST", "/admin/v1/keys/some", "GET, PATCH, DELETE"],
    ["POST", "/health", "GET"],
  ])("%s %s is answered with 405 and %s", async (method, path, allow) => {
    const { key } = await makeKey("methods");
    const headers = bearer(path.startsWith("/admin/") ? env.ANABRANCH_ADMIN_TOKEN : key);
    const response = await call(path, { method, headers });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe(allow);
    expect(await response.json()).toMatchObject({ error: { code: "method_not_allowed" } });
  });
});

describe("every response", () => {
  it("carries a request id of its own", async () => {
    const ids = new Set<string | null>();
    for (const path of ["/health", "/health", "/nowhere", "/v1/models", "/admin/v1/pool"]) {
      ids.add((await call(path)).headers.get("x-request-id"));
    }
    expect(ids.has(null)).toBe(false);
    expect(ids.size).toBe(5);
  });
});
