import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { gatewaySecret, keptFor } from "./local-gateway.ts";
import { UsageError } from "./options.ts";

const state = mkdtempSync(join(tmpdir(), "anabranch-secrets-"));
beforeAll(() => {
  writeFileSync(join(state, "secrets.json"), JSON.stringify({ ANABRANCH_POOL_TOKEN: "kept" }));
  writeFileSync(join(state, "start-key.json"), JSON.stringify({ key: "the key" }));
  vi.stubEnv("ANABRANCH_STATE", state);
  vi.stubEnv("ANABRANCH_POOL_TOKEN", "");
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(state, { recursive: true });
});

it.each([
  "http://127.0.0.1:8787",
  "http://127.8.0.1",
  "https://localhost:1/x",
  "http://[::1]:8787",
])("what this machine keeps is for %s", (gateway) => {
  expect(gatewaySecret(gateway, "ANABRANCH_POOL_TOKEN")).toBe("kept");
  expect(keptFor(gateway, "start-key.json", "key")).toBe("the key");
  expect(keptFor(gateway, "start-key.json", "another")).toBe("");
});

it.each([
  ...["http://gateway.example", "http://localhost.example", "http://127.example.com:8787"],
  ...["http://127.0.0.1@gateway.example", "http://10.0.0.5:8787", "http://0.0.0.0:8787"],
])("and not for %s", (gateway) => {
  expect(gatewaySecret(gateway, "ANABRANCH_POOL_TOKEN")).toBe("");
  expect(keptFor(gateway, "start-key.json", "key")).toBe("");
});

it("what the environment says is for any gateway", () => {
  vi.stubEnv("ANABRANCH_ADMIN_TOKEN", "given");
  expect(gatewaySecret("http://gateway.example", "ANABRANCH_ADMIN_TOKEN")).toBe("given");
});

it("what is kept is read only where the environment says nothing", () => {
  vi.stubEnv("ANABRANCH_STATE", join(state, "broken"));
  mkdirSync(join(state, "broken"));
  writeFileSync(join(state, "broken/secrets.json"), "{");
  vi.stubEnv("ANABRANCH_POOL_TOKEN", "given");
  expect(gatewaySecret("http://127.0.0.1", "ANABRANCH_POOL_TOKEN")).toBe("given");
  vi.stubEnv("ANABRANCH_POOL_TOKEN", "");
  expect(() => gatewaySecret("http://127.0.0.1", "ANABRANCH_POOL_TOKEN")).toThrow(
    "secrets.json is not a JSON object",
  );
  vi.stubEnv("ANABRANCH_STATE", state);
});

it("other addresses are refused", () => {
  for (const gateway of ["here", "file:///etc/passwd", ""]) {
    expect(() => gatewaySecret(gateway, "ANABRANCH_ADMIN_TOKEN")).toThrow(UsageError);
  }
});
