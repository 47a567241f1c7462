// DELETE /admin/v1/prices
import { z } from "@hono/zod-openapi";
import { readQuery } from "../http/body.ts";
import { operatorRoute } from "../http/route.ts";
import { PricesStore } from "../prices/prices-store.ts";

const query = z.object({ model: z.string() });

export const deletePrice = operatorRoute({
  method: "delete",
  path: "/admin/v1/prices",
  summary: "From now on a model costs nothing; what was used before keeps its cost",
  request: { query },
  response: {
    description: "It has no price",
    schema: z.object({ model: z.string(), deleted: z.literal(true) }),
  },
  async handle(context) {
    const { model } = readQuery(context.request, query);
    await new PricesStore(context).delete(model);
    return { model, deleted: true as const };
  },
});
