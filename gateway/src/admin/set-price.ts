// POST /admin/v1/prices
import { z } from "@hono/zod-openapi";
import { badField } from "../api-error.ts";
import { readBody } from "../http/body.ts";
import { jsonBody, operatorRoute } from "../http/route.ts";
import { amount, microsOf } from "../prices/money.ts";
import { PricesStore } from "../prices/prices-store.ts";
import { priceView, viewOf } from "./price-view.ts";

const perMillion = (tokens: string) =>
  amount(6).openapi({ description: `For a million ${tokens}, such as "0.15"` });

const body = z
  .strictObject({
    model: z.string().min(1).max(200),
    currency: z
      .string()
      .regex(/^[A-Z]{3}$/, "three capital letters, such as USD")
      .openapi({ description: "The same for all prices of a gateway" }),
    prompt: perMillion("tokens of prompts"),
    cached: perMillion("tokens of prompts that the prefix cache had; absent: as prompt").optional(),
    visible: perMillion("tokens that clients see"),
    from: z.int().min(0).optional().openapi({
      description: "Seconds since the epoch: it holds from this time on; absent: from now on",
    }),
  })
  .openapi("NewPrice");

export const setPrice = operatorRoute({
  method: "post",
  path: "/admin/v1/prices",
  summary: "Sets what a model's tokens cost from some time on; what was used before keeps its cost",
  request: jsonBody(body, { model: "llama-70b", currency: "USD", prompt: "0.5", visible: "1.5" }),
  response: { description: "The price", schema: priceView },
  async handle(context) {
    const given = await readBody(context.request, body);
    const now = Date.now();
    const fromAt = given.from === undefined ? now : given.from * 1_000;
    if (fromAt < now - 60_000) {
      throw badField("from", "A price can't hold from a time that has passed; leave 'from' out.");
    }
    const prompt = microsOf(given.prompt);
    const cached = given.cached === undefined ? prompt : microsOf(given.cached);
    const price = { prompt, cached, visible: microsOf(given.visible) };
    return viewOf(await new PricesStore(context).set(given.model, given.currency, price, fromAt));
  },
});
