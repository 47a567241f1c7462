// What set-up.ts provides to the tests.
import "vitest";

declare module "vitest" {
  interface ProvidedContext {
    gateway: string;
    /** A way to the gateway, see faulty-way.ts. */
    faulty: string;
    /** Keys of tenants of their own. */
    keys: string[];
  }
}
