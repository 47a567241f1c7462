import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { configurationFault } from "./configuration.ts";

const faultOf = (change: Record<string, string>) => configurationFault({ ...env, ...change });

describe("the configuration", () => {
  it("of the tests is sound", () => expect(faultOf({})).toBeNull());

  it.each([
    [{ ANABRANCH_KEY_SECRET: "" }, "ANABRANCH_KEY_SECRET is not set"],
    [{ ANABRANCH_ADMIN_TOKEN: "tooFewOfThem" }, "ANABRANCH_ADMIN_TOKEN is shorter"],
    [{ ANABRANCH_ACCESS_LOG: "yes" }, 'ANABRANCH_ACCESS_LOG is "on" or "off"'],
    [{ ANABRANCH_CACHE_HOURS: "-1" }, "ANABRANCH_CACHE_HOURS is a number"],
    [{ ANABRANCH_CACHE_MB: "much" }, "ANABRANCH_CACHE_MB is a number"],
    [{ ANABRANCH_CORS_ORIGINS: "https://a.example/path" }, "ANABRANCH_CORS_ORIGINS"],
  ])("%j is named, and its value is not told", (change, message) => {
    const fault = faultOf(change);
    expect(fault).toContain(message);
    for (const value of Object.values(change)) {
      if (value.length > 4) expect(fault).not.toContain(value);
    }
  });

  it("takes origins and all origins", () => {
    expect(
      faultOf({ ANABRANCH_CORS_ORIGINS: "https://a.example, http://localhost:3000" }),
    ).toBeNull();
    expect(faultOf({ ANABRANCH_CORS_ORIGINS: "*", ANABRANCH_CACHE_MB: "8" })).toBeNull();
  });
});
