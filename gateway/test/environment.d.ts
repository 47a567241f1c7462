// What vitest.config.ts binds for the tests inside workerd.
declare namespace Cloudflare {
  interface GlobalProps {
    mainModule: typeof import("../src/main.ts");
  }
  interface Env extends GatewayEnvironment {
    TEST_MIGRATIONS: import("cloudflare:test").D1Migration[];
    TEST_WORKERS: { url: string; credential: string }[];
    TEST_UPSTREAM: { url: string; credential: string };
  }
}
type GatewayEnvironment = import("../src/environment.ts").Environment;
