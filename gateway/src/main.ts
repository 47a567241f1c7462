// The Worker's entry point, as wrangler.toml names it.
import { ApiError } from "./api-error.ts";
import { createApp } from "./app.ts";
import { configurationFault } from "./configuration.ts";
import type { Environment } from "./environment.ts";

export { AnswersObject } from "./cache/answers-object.ts";
export { PoolObject } from "./pool/pool-object.ts";
export { TenantObject } from "./tenant/tenant-object.ts";

const app = createApp();
/** Undefined: not looked at yet in this isolate. */
let fault: string | null | undefined;

export default {
  fetch(request, env, context) {
    fault ??= configurationFault({ ...env });
    if (fault === null) return app.fetch(request, env, context);
    console.error(fault);
    return new ApiError(503, `The gateway is not configured: ${fault}`, {
      code: "not_configured",
    }).toResponse();
  },
} satisfies ExportedHandler<Environment>;
