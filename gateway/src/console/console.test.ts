import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { adminHeaders, call } from "../../test/gateway-client.ts";

describe("the console's page", () => {
  it("is served at /, and may load and call nothing but the gateway", async () => {
    const response = await call("/");
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toContain("text/html");
    const policy = response.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    expect(response.headers.get("cache-control")).toBe("no-cache");
    const [, script = ""] = /src="(\/assets\/[^"]+\.js)"/.exec(await response.text()) ?? [];
    const file = await call(script);
    expect(file.headers.get("content-type")).toContain("javascript");
    expect(file.headers.get("cache-control")).toContain("immutable");
    expect(file.headers.get("x-content-type-options")).toBe("nosniff");
  });

  it.each(["/assets/none.js", "/index.html", "/assets/../wrangler.toml"])(
    "has no %s",
    async (path) => {
      const response = await call(path);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ error: { code: "unknown_url" } });
    },
  );
});

describe("a link that signs in", () => {
  const offer = () =>
    call("/admin/v1/sign-in", {
      ...{
        method: "POST",
        headers: adminHeaders,
        body: JSON.stringify({ key: "sk-of-the-offer" }),
      },
    });
  const exchange = (token: string, host = "127.0.0.1") =>
    exports.default.fetch(
      new Request(`http://${host}:8787/sign-in`, {
        ...{ method: "POST", body: JSON.stringify({ token }) },
      }),
    );
  const token = async () => ((await (await offer()).json()) as { token: string }).token;

  const local = () => Object.assign(env, { ANABRANCH_LOCAL: "on" });
  afterEach(() => {
    vi.useRealTimers();
    Reflect.deleteProperty(env, "ANABRANCH_LOCAL");
  });

  it("gives the credentials once", async () => {
    local();
    const made = await token();
    const response = await exchange(made);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(await response.json()).toEqual({
      ...{ key: "sk-of-the-offer", admin: env.ANABRANCH_ADMIN_TOKEN },
    });
    expect((await exchange(made)).status).toBe(401);
  });

  it("ends when another is made, and after ten minutes", async () => {
    local();
    const first = await token();
    const second = await token();
    expect((await exchange(first)).status).toBe(401);
    vi.useFakeTimers({ now: Date.now() + 600_000, toFake: ["Date"] });
    expect((await exchange(second)).status).toBe(401);
  });

  it("works under the names of this machine alone", async () => {
    local();
    const made = await token();
    expect((await exchange(made, "rebound.test")).status).toBe(401);
    expect((await exchange(made, "localhost")).status).toBe(200);
  });

  it("is not there on a gateway that is not local", async () => {
    expect((await offer()).status).toBe(409);
    expect((await exchange("0".repeat(64))).status).toBe(401);
  });
});
