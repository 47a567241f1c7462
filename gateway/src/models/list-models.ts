// GET /v1/models
import { createRoute, z } from "@hono/zod-openapi";
import type { Environment } from "../environment.ts";
import { errorResponses } from "../http/error-responses.ts";
import { poolView } from "../pool/pool-view.ts";

const model = z
  .object({
    id: z.string(),
    object: z.literal("model"),
    created: z.int(),
    owned_by: z.string(),
    anabranch: z.object({ dialect: z.string().nullable(), context_tokens: z.int() }),
  })
  .openapi("Model");

export const route = createRoute({
  method: "get",
  path: "/v1/models",
  summary: "The models that some healthy worker has",
  security: [{ key: [] }],
  responses: {
    200: {
      description: "The models",
      content: {
        "application/json": {
          schema: z.object({ object: z.literal("list"), data: z.array(model) }),
        },
      },
    },
    ...errorResponses,
  },
});

export async function handle(
  env: Environment,
  waitUntil: (promise: Promise<unknown>) => void,
): Promise<Response> {
  const { workers } = await poolView(env, waitUntil, true);
  const models = new Map<string, z.output<typeof model>>();
  for (const worker of workers) {
    if (!worker.healthy || worker.draining) continue;
    for (const { id, dialect, contextTokens } of worker.models) {
      const created = Math.floor(worker.registeredAt / 1_000);
      if ((models.get(id)?.created ?? Number.POSITIVE_INFINITY) <= created) continue;
      const anabranch = { dialect: dialect || null, context_tokens: contextTokens };
      models.set(id, { id, object: "model", created, owned_by: "anabranch", anabranch });
    }
  }
  const data = [...models.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  return Response.json({ object: "list", data });
}
