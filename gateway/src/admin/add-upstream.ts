// POST /admin/v1/upstreams
import { z } from "@hono/zod-openapi";
import { readBody } from "../http/body.ts";
import { jsonBody, operatorRoute } from "../http/route.ts";
import { keepUpstream } from "./keep-upstream.ts";
import {
  baseUrl,
  defaultUpstream,
  upstreamFields,
  upstreamUrl,
  withUpstreamFields,
} from "./upstream-fields.ts";
import { upstreamView } from "./upstream-view.ts";

const body = z
  .strictObject({
    id: z.string().regex(/^[\w.-]{1,64}$/, "1 to 64 letters, digits or any of _ . -"),
    url: upstreamUrl,
    ...upstreamFields,
  })
  .openapi("NewUpstreamRequest");

export const addUpstream = operatorRoute({
  method: "post",
  path: "/admin/v1/upstreams",
  summary: "Adds a server with OpenAI's API to the pool, or replaces the one with its id",
  request: jsonBody(body),
  response: { description: "The upstream", schema: upstreamView },
  async handle(context) {
    const { id, url, ...given } = await readBody(context.request, body);
    return await keepUpstream(context, "upstream.add", {
      ...withUpstreamFields(defaultUpstream, given),
      ...{ id, url: baseUrl(url), addedAt: Date.now() },
    });
  },
});
