// GET /health
import { z } from "@hono/zod-openapi";
import { publicRoute } from "./http/route.ts";

export const health = publicRoute({
  method: "get",
  path: "/health",
  summary: "Whether the gateway runs",
  response: { description: "It runs", schema: z.object({ status: z.literal("ok") }) },
  handle: async () => ({ status: "ok" as const }),
});
