// GET /admin/v1/prices
import { z } from "@hono/zod-openapi";
import { readQuery } from "../http/body.ts";
import { operatorRoute } from "../http/route.ts";
import { PricesStore } from "../prices/prices-store.ts";
import { priceView, viewOf } from "./price-view.ts";

const query = z.object({ model: z.string().optional() });

export const listPrices = operatorRoute({
  method: "get",
  path: "/admin/v1/prices",
  summary: "What models cost: past, present and future prices",
  request: { query },
  response: {
    description: "By model, and by the time from which they hold",
    schema: z.object({ prices: z.array(priceView) }),
  },
  async handle(context) {
    const { model } = readQuery(context.request, query);
    return { prices: (await new PricesStore(context).list(model)).map(viewOf) };
  },
});
