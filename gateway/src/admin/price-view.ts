// A price as the admin API shows it.
import { z } from "@hono/zod-openapi";
import { amountOf } from "../prices/money.ts";
import type { StoredPrice } from "../prices/prices-store.ts";

const perMillion = (tokens: string) =>
  z
    .string()
    .nullable()
    .openapi({ description: `For a million ${tokens}; null: they cost nothing` });

export const priceView = z
  .object({
    model: z.string(),
    currency: z.string(),
    prompt: perMillion("tokens of prompts"),
    cached: perMillion("tokens of prompts that the prefix cache had"),
    visible: perMillion("tokens that clients see"),
    from: z.int().openapi({ description: "Seconds since the epoch: it holds from this time on" }),
  })
  .openapi("Price");

const shown = (micros: number | null) => (micros === null ? null : amountOf(micros));

export const viewOf = (price: StoredPrice): z.output<typeof priceView> => ({
  model: price.model,
  currency: price.currency,
  prompt: shown(price.prompt),
  cached: shown(price.cached),
  visible: shown(price.visible),
  from: Math.floor(price.fromAt / 1_000),
});
