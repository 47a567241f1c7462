import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { bearer, call, makeKey } from "../test/gateway-client.ts";

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
