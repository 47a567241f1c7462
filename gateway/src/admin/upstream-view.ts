// An upstream as the admin API shows it. Its credential is never shown.
import { z } from "@hono/zod-openapi";
import type { UpstreamState } from "../pool/upstreams.ts";
import { lacks } from "../upstreams/upstream.ts";

export const upstreamView = z
  .object({
    id: z.string(),
    url: z.string(),
    models: z.array(z.string()).openapi({ description: "As the pool names them" }),
    max_requests: z.int().nullable(),
    default_max_tokens: z.int(),
    without: z.array(z.enum(lacks)).openapi({ description: "What it does not have" }),
    added_at: z.int().openapi({ description: "ms since the epoch" }),
    checked_at: z.int().nullable().openapi({ description: "ms since the epoch" }),
    error: z.string().nullable().openapi({ description: "Why it is not used; null: it is" }),
  })
  .openapi("Upstream");

export const viewOf = ({
  settings,
  models,
  checkedAt,
  error,
}: UpstreamState): z.output<typeof upstreamView> => ({
  id: settings.id,
  url: settings.url,
  models: [...models],
  max_requests: settings.maxRequests,
  default_max_tokens: settings.defaultMaxTokens,
  without: [...(settings.without ?? [])],
  added_at: settings.addedAt,
  checked_at: checkedAt,
  error,
});
