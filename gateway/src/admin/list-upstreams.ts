// GET /admin/v1/upstreams
import { z } from "@hono/zod-openapi";
import { poolObject } from "../environment.ts";
import { operatorRoute } from "../http/route.ts";
import { upstreamView, viewOf } from "./upstream-view.ts";

export const listUpstreams = operatorRoute({
  method: "get",
  path: "/admin/v1/upstreams",
  summary: "The servers with OpenAI's API that belong to the pool",
  response: { description: "All", schema: z.object({ upstreams: z.array(upstreamView) }) },
  handle: async ({ env }) => ({ upstreams: (await poolObject(env).upstreams()).map(viewOf) }),
});
