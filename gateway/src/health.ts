// GET /health
import { createRoute, z } from "@hono/zod-openapi";

export const route = createRoute({
  method: "get",
  path: "/health",
  summary: "Whether the gateway runs",
  responses: {
    200: {
      description: "It does",
      content: { "application/json": { schema: z.object({ status: z.literal("ok") }) } },
    },
  },
});

export function handle(): Response {
  return Response.json({ status: "ok" });
}
