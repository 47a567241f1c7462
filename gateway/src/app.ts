// The gateway's app: guards for whole paths, then the routes. To add a route, write its file and list
// it here.
import { OpenAPIHono } from "@hono/zod-openapi";
import { addUpstream } from "./admin/add-upstream.ts";
import { changeKey } from "./admin/change-key.ts";
import { changeTenant } from "./admin/change-tenant.ts";
import { changeUpstream } from "./admin/change-upstream.ts";
import { createKey } from "./admin/create-key.ts";
import { createOperator } from "./admin/create-operator.ts";
import { deletePrice } from "./admin/delete-price.ts";
import { drainGateway } from "./admin/drain-gateway.ts";
import { drainWorker } from "./admin/drain-worker.ts";
import { listKeys } from "./admin/list-keys.ts";
import { listOperators } from "./admin/list-operators.ts";
import { listPrices } from "./admin/list-prices.ts";
import { listTenants } from "./admin/list-tenants.ts";
import { listUpstreams } from "./admin/list-upstreams.ts";
import { purgeCache } from "./admin/purge-cache.ts";
import { removeUpstream } from "./admin/remove-upstream.ts";
import { usageReport } from "./admin/report-usage.ts";
import { revokeKey } from "./admin/revoke-key.ts";
import { revokeOperator } from "./admin/revoke-operator.ts";
import { rotateKey } from "./admin/rotate-key.ts";
import { setPrice } from "./admin/set-price.ts";
import { showAudit } from "./admin/show-audit.ts";
import { showKey } from "./admin/show-key.ts";
import { showPool } from "./admin/show-pool.ts";
import { showTenant } from "./admin/show-tenant.ts";
import { ApiError, asApiError } from "./api-error.ts";
import { requireKey, requireOperator } from "./auth/middleware.ts";
import { classifyPrompts } from "./classifier/classify-prompts.ts";
import { chatCompletions } from "./completions/chat-completions.ts";
import { textCompletions } from "./completions/text-completions.ts";
import { consoleFile, consolePaths } from "./console/console-files.ts";
import { offerSignIn } from "./console/offer-sign-in.ts";
import { signIn } from "./console/sign-in.ts";
import { health } from "./health.ts";
import { accessLog } from "./http/access-log.ts";
import { type AppEnv, contextOf } from "./http/context.ts";
import { crossOrigin } from "./http/cross-origin.ts";
import { guardedPaths } from "./http/guarded-paths.ts";
import type { Route } from "./http/route.ts";
import { countTokens } from "./messages/count-tokens.ts";
import { createMessage } from "./messages/create-message.ts";
import { messageError, messagesPath } from "./messages/message-error.ts";
import { listModels } from "./models/list-models.ts";
import { showModel } from "./models/show-model.ts";
import { servePool } from "./pool/pool-service.ts";
import { createResponse } from "./responses/create-response.ts";
import { deleteResponse } from "./responses/delete-response.ts";
import { showResponse } from "./responses/show-response.ts";
import { detokenize } from "./tokens/detokenize.ts";
import { tokenize } from "./tokens/tokenize.ts";
import { showUsage } from "./usage/show-usage.ts";

export const routes: readonly Route[] = [
  health,
  chatCompletions,
  textCompletions,
  createMessage,
  countTokens,
  createResponse,
  showResponse,
  deleteResponse,
  tokenize,
  detokenize,
  classifyPrompts,
  listModels,
  showModel,
  showUsage,
  createKey,
  listKeys,
  showKey,
  changeKey,
  rotateKey,
  revokeKey,
  createOperator,
  listOperators,
  revokeOperator,
  listTenants,
  showTenant,
  changeTenant,
  setPrice,
  listPrices,
  deletePrice,
  showAudit,
  usageReport,
  showPool,
  drainWorker,
  addUpstream,
  changeUpstream,
  listUpstreams,
  removeUpstream,
  purgeCache,
  drainGateway,
  offerSignIn,
  signIn,
];

function methodsByPattern(): Map<string, string[]> {
  const methods = new Map<string, string[]>();
  for (const { config, pattern } of routes) {
    const known = methods.get(pattern) ?? [];
    methods.set(pattern, [...known, config.method.toUpperCase()]);
  }
  return methods;
}

export function createApp() {
  const app = new OpenAPIHono<AppEnv>();
  app.use(accessLog);
  app.use(`${guardedPaths.tenant}*`, crossOrigin);
  app.use(`${guardedPaths.tenant}*`, requireKey);
  app.use(`${guardedPaths.operator}*`, requireOperator);

  for (const { config, pattern, handle } of routes) {
    app.on(config.method, pattern, (c) => handle(contextOf(c), c.get("caller")));
    // Bodies are read by a bounded reader of ours, so routes are only described to the document.
    app.openAPIRegistry.registerPath(config);
  }
  for (const [pattern, methods] of methodsByPattern()) {
    const allow = methods.join(", ");
    app.all(pattern, (c) => {
      throw new ApiError(405, `${c.req.path} takes ${allow}, not ${c.req.method}.`, {
        code: "method_not_allowed",
        headers: { allow },
      });
    });
  }
  app.all("/anabranch.v1.Pool/*", async (c) => {
    const served = await servePool(c.req.raw, c.env);
    return served ?? c.notFound();
  });

  for (const path of consolePaths) app.get(path, consoleFile);
  app.get("/docs", (c) => c.redirect("/#/api"));

  const bearer = { type: "http" as const, scheme: "bearer" };
  app.openAPIRegistry.registerComponent("securitySchemes", "key", bearer);
  app.openAPIRegistry.registerComponent("securitySchemes", "admin", bearer);
  app.doc31("/openapi.json", {
    openapi: "3.1.0",
    info: {
      title: "Anabranch",
      version: "0.1.0",
      description:
        "OpenAI's API, for answers that branch, are decoded in parallel, and join again; and the API of those who operate the gateway.",
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
    },
    tags: [
      { name: "Clients", description: "What an API key opens" },
      { name: "Operators", description: "What the admin credential opens" },
      { name: "Gateway", description: "What anybody may ask" },
    ],
  });

  const respond = (path: string, error: ApiError) => {
    if (!path.startsWith(messagesPath)) return error.toResponse();
    const { status, headers } = error;
    return Response.json(messageError(error), { status, headers });
  };
  app.notFound((c) => {
    const message = `Unknown request URL: ${c.req.method} ${c.req.path}.`;
    return respond(c.req.path, new ApiError(404, message, { code: "unknown_url" }));
  });
  app.onError((error, c) => respond(c.req.path, asApiError(error)));
  return app;
}
