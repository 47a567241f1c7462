// One command for all tests: what runs on Node, what runs inside workerd as it does at the edge, and the client
// library, which runs anywhere.
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";
import { browserOptions } from "./console/test/browser.ts";

const nodeFolders = [
  ...[
    "examples",
    "shared",
    "native",
    "gpu-worker",
    "client",
    "console",
    "training",
    "bench",
    "scripts",
  ],
];

/** The client library is tested as it is published, the same file in each place where it is to run. */
const clientTests = {
  include: ["client/test/client.test.ts"],
  globalSetup: ["client/test/set-up.ts"],
  testTimeout: 60_000,
};
const packed = "client/test/package.test.ts";
const published = { alias: { "@anabranch/client": `${import.meta.dirname}/client/dist/index.js` } };

export default defineConfig({
  test: {
    // workerd calls the failed read of a body unhandled, whoever handles it: here the tests of the client do.
    onUnhandledError: ({ stack = "" }) => !/bytesOf .*client\/dist\/index\.js/.test(stack),
    reporters: ["default", "./scripts/closing-line.ts"],
    projects: [
      {
        test: {
          name: "node",
          include: [...nodeFolders, "gateway/local", "gateway/e2e"].map(
            (folder) => `${folder}/**/*.test.ts`,
          ),
          exclude: ["**/node_modules/**", "**/build/**", ...clientTests.include, packed],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        plugins: [
          cloudflareTest(async ({ inject }) => ({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              bindings: {
                ANABRANCH_ACCESS_LOG: "off",
                ANABRANCH_KEY_SECRET: "key-secret-of-the-tests",
                ANABRANCH_ADMIN_TOKEN: "admin-token-of-the-tests",
                ANABRANCH_POOL_TOKEN: "pool-token-of-the-tests",
                TEST_MIGRATIONS: await readD1Migrations("migrations"),
                TEST_WORKERS: inject("fakeWorkers"),
                TEST_UPSTREAM: inject("fakeUpstream"),
              },
            },
          })),
        ],
        test: {
          name: "workerd",
          include: ["gateway/src/**/*.test.ts"],
          globalSetup: ["gateway/test/global-setup.ts"],
          setupFiles: ["gateway/test/set-up-storage.ts"],
          testTimeout: 20_000,
        },
      },
      {
        resolve: published,
        test: { name: "client on Node", ...clientTests, include: [...clientTests.include, packed] },
      },
      {
        resolve: published,
        plugins: [cloudflareTest({ miniflare: { compatibilityDate: "2026-01-01" } })],
        test: { name: "client in workerd", ...clientTests },
      },
      {
        resolve: published,
        test: {
          name: "client in Chromium",
          ...clientTests,
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({ launchOptions: browserOptions() }),
            instances: [{ browser: "chromium" }],
          },
        },
      },
    ],
  },
});
