// The gateway's routes. Each route's own file says what it takes and does; here they only meet.
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import * as createKey from "./admin/create-key.ts";
import * as showPool from "./admin/show-pool.ts";
import { ApiError, asApiError } from "./api-error.ts";
import { authenticate, authenticateAdmin } from "./auth/authenticate.ts";
import type { Surroundings } from "./completions/answer.ts";
import * as chatCompletions from "./completions/chat-completions.ts";
import * as textCompletions from "./completions/text-completions.ts";
import type { Environment } from "./environment.ts";
import * as health from "./health.ts";
import * as listModels from "./models/list-models.ts";
import * as showModel from "./models/show-model.ts";
import { servePool } from "./pool/pool-service.ts";
import * as showUsage from "./usage/show-usage.ts";

type AppContext = Context<{ Bindings: Environment }>;

const waitUntil = (c: AppContext) => (promise: Promise<unknown>) =>
  c.executionCtx.waitUntil(promise);

async function surroundings(c: AppContext): Promise<Surroundings> {
  const at = Date.now();
  const caller = await authenticate(c.req.raw, c.env, waitUntil(c));
  return { env: c.env, caller, at, signal: c.req.raw.signal, waitUntil: waitUntil(c) };
}

export function createApp() {
  const app = new OpenAPIHono<{ Bindings: Environment }>();

  app.get(health.route.path, () => health.handle());
  app.post(chatCompletions.route.path, async (c) =>
    chatCompletions.handle(c.req.raw, await surroundings(c)),
  );
  app.post(textCompletions.route.path, async (c) =>
    textCompletions.handle(c.req.raw, await surroundings(c)),
  );
  app.get(listModels.route.path, async (c) => {
    await surroundings(c);
    return listModels.handle(c.env, waitUntil(c));
  });
  // Model names may hold slashes.
  app.get("/v1/models/:model{.+}", async (c) => {
    await surroundings(c);
    return showModel.handle(c.req.param("model"), c.env, waitUntil(c));
  });
  app.get(showUsage.route.path, async (c) => {
    const { caller } = await surroundings(c);
    return showUsage.handle(c.req.raw, c.env, caller);
  });
  app.post(createKey.route.path, async (c) => {
    await authenticateAdmin(c.req.raw, c.env);
    return createKey.handle(c.req.raw, c.env);
  });
  app.get(showPool.route.path, async (c) => {
    await authenticateAdmin(c.req.raw, c.env);
    return showPool.handle(c.env, waitUntil(c));
  });
  app.all("/anabranch.v1.Pool/*", async (c) => {
    const served = await servePool(c.req.raw, c.env);
    return served ?? c.notFound();
  });

  // Bodies are read by our own bounded reader, so the routes are only described to the document.
  for (const { route } of [
    health,
    chatCompletions,
    textCompletions,
    listModels,
    showModel,
    showUsage,
    createKey,
    showPool,
  ]) {
    app.openAPIRegistry.registerPath(route);
  }
  const bearer = { type: "http" as const, scheme: "bearer" };
  app.openAPIRegistry.registerComponent("securitySchemes", "key", bearer);
  app.openAPIRegistry.registerComponent("securitySchemes", "admin", bearer);
  app.doc31("/openapi.json", {
    openapi: "3.1.0",
    info: { title: "Anabranch", version: "0.1.0" },
  });

  app.notFound((c) =>
    new ApiError(404, `Unknown request URL: ${c.req.method} ${c.req.path}.`, {
      code: "unknown_url",
    }).toResponse(),
  );
  app.onError((error) => asApiError(error).toResponse());
  return app;
}
