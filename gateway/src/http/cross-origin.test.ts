import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it } from "vitest";
import { bearer, call, makeKey } from "../../test/gateway-client.ts";

const origin = "https://app.example";
const preflight = () =>
  call("/v1/chat/completions", {
    method: "OPTIONS",
    headers: {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type",
    },
  });
const allow = (origins: string) => Object.assign(env, { ANABRANCH_CORS_ORIGINS: origins });
afterEach(() => allow(""));

describe("a web page of another origin", () => {
  it("may call nothing unless the operator names it", async () => {
    for (const origins of ["", "https://other.example"]) {
      allow(origins);
      expect((await preflight()).headers.has("access-control-allow-origin")).toBe(false);
    }
  });

  it("may call /v1 if it is named, needs a key there, and may read our headers", async () => {
    const { key } = await makeKey("cors");
    for (const origins of ["*", `https://other.example, ${origin}`]) {
      allow(origins);
      const asked = await preflight();
      expect(asked.status).toBe(204);
      expect(asked.headers.get("access-control-allow-headers")).toContain("authorization");
      const models = await call("/v1/models", { headers: { origin, ...bearer(key) } });
      expect(models.status).toBe(200);
      expect(models.headers.get("access-control-allow-origin")).toBe(
        origins === "*" ? "*" : origin,
      );
      expect(models.headers.get("access-control-expose-headers")).toContain("x-request-id");
      const refused = await call("/v1/models", { headers: { origin } });
      expect(refused.status).toBe(401);
      expect(refused.headers.has("access-control-allow-origin")).toBe(true);
    }
  });

  it("never calls the admin API", async () => {
    allow("*");
    const { headers } = await call("/admin/v1/pool", { method: "OPTIONS", headers: { origin } });
    expect(headers.has("access-control-allow-origin")).toBe(false);
  });
});
