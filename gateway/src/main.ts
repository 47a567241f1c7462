// The Worker's entry point, as wrangler.toml names it.
import { createApp } from "./app.ts";
import type { Environment } from "./environment.ts";

export { AnswersObject } from "./cache/answers-object.ts";
export { PoolObject } from "./pool/pool-object.ts";
export { TenantObject } from "./tenant/tenant-object.ts";

const app = createApp();

export default {
  fetch: (request, env, context) => app.fetch(request, env, context),
} satisfies ExportedHandler<Environment>;
