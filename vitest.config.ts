// One command for all tests: what runs on Node, and what runs inside workerd as it does at the edge.
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

const nodeFolders = [
  ...["examples", "shared", "native", "gpu-worker", "console", "training", "bench", "scripts"],
];

export default defineConfig({
  test: {
    reporters: ["default", "./scripts/closing-line.ts"],
    projects: [
      {
        test: {
          name: "node",
          include: [...nodeFolders, "gateway/local", "gateway/e2e"].map(
            (folder) => `${folder}/**/*.test.ts`,
          ),
          exclude: ["**/node_modules/**", "**/build/**"],
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
    ],
  },
});
