// POST /admin/v1/upstreams
import { z } from "@hono/zod-openapi";
import { ApiError, badField } from "../api-error.ts";
import { poolObject } from "../environment.ts";
import { readBody } from "../http/body.ts";
import { list } from "../http/list.ts";
import { jsonBody, operatorRoute } from "../http/route.ts";
import { lacks, type UpstreamSettings } from "../upstreams/upstream.ts";
import { AuditStore } from "./audit-store.ts";
import { upstreamView, viewOf } from "./upstream-view.ts";

const name = z.string().min(1).max(500);

const body = z
  .strictObject({
    id: z.string().regex(/^[\w.-]{1,64}$/, "1 to 64 letters, digits or any of _ . -"),
    url: z
      .url({ protocol: /^https?$/ })
      .max(2_000)
      .openapi({
        description: "What an OpenAI SDK takes as its base URL, such as http://10.0.0.5:8000/v1",
      }),
    credential: z
      .string()
      .min(1)
      .max(10_000)
      .nullish()
      .openapi({ description: "Sent to it as a bearer credential" }),
    models: list(z.strictObject({ id: name, name: name.optional() }), 1_000)
      .min(1)
      .nullish()
      .openapi({ description: "Its models to serve: `id` here, `name` there. Default: all" }),
    max_requests: z.int().min(1).max(1_000_000).nullish().openapi({
      description: "Requests at once, of each of the gateway's isolates",
    }),
    default_max_tokens: z.int().min(1).max(1_000_000).default(1_024).openapi({
      description: "For requests that name no max_tokens",
    }),
    without: list(z.enum(lacks), lacks.length)
      .default([])
      .openapi({ description: "What it does not have: such requests are refused" }),
  })
  .openapi("NewUpstreamRequest");

function settingsOf(given: z.output<typeof body>): UpstreamSettings {
  const { username, password, search, hash } = new URL(given.url);
  if (username || password || search || hash) {
    throw badField("url", "'url' takes no user, query or fragment; use 'credential'.");
  }
  return {
    id: given.id,
    url: given.url.replace(/\/+$/, ""),
    credential: given.credential ?? null,
    models: given.models?.map(({ id, name = id }) => ({ id, name })) ?? null,
    maxRequests: given.max_requests ?? null,
    defaultMaxTokens: given.default_max_tokens,
    without: given.without,
    addedAt: Date.now(),
  };
}

export const addUpstream = operatorRoute({
  method: "post",
  path: "/admin/v1/upstreams",
  summary: "Adds a server with OpenAI's API to the pool, or replaces the one with its id",
  request: jsonBody(body),
  response: { description: "The upstream", schema: upstreamView },
  async handle(context) {
    const settings = settingsOf(await readBody(context.request, body));
    const pool = poolObject(context.env);
    const added = await pool.addUpstream(settings);
    if ("error" in added) {
      const message = `The upstream can't be used: ${added.error}.`;
      throw new ApiError(422, message, { param: "url", code: "upstream_unusable" });
    }
    const { credential: _, ...detail } = settings;
    await new AuditStore(context).entry({
      ...{ action: "upstream.add", tenantId: "", keyId: "", detail },
    });
    const models = added.models.map(({ id }) => id);
    return viewOf({ settings, models, checkedAt: Date.now(), error: null });
  },
});
