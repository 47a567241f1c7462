// An upstream as the admin API shows it. Its credential is never shown.
import { z } from "@hono/zod-openapi";
import { ApiError } from "../api-error.ts";
import type { UpstreamState } from "../pool/upstreams.ts";
import { lacks } from "../upstreams/upstream.ts";

export const upstreamView = z
  .object({
    id: z.string(),
    url: z.string(),
    has_credential: z.boolean(),
    models: z.array(z.string()).openapi({ description: "As the pool names them" }),
    chosen: z
      .array(z.object({ id: z.string(), name: z.string() }))
      .nullable()
      .openapi({ description: "The models it was told to serve; null: all" }),
    max_requests: z.int().nullable(),
    default_max_tokens: z.int(),
    without: z.array(z.enum(lacks)).openapi({ description: "What it does not have" }),
    added_at: z.int().openapi({ description: "Or last changed; ms since the epoch" }),
    checked_at: z.int().nullable().openapi({ description: "ms since the epoch" }),
    error: z.string().nullable().openapi({ description: "Why it is not used; null: it is" }),
  })
  .openapi("Upstream");

export const viewOf = ({
  settings,
  hasCredential,
  models,
  checkedAt,
  error,
}: UpstreamState): z.output<typeof upstreamView> => ({
  id: settings.id,
  url: settings.url,
  has_credential: hasCredential,
  models: [...models],
  chosen: settings.models && [...settings.models],
  max_requests: settings.maxRequests,
  default_max_tokens: settings.defaultMaxTokens,
  without: [...(settings.without ?? [])],
  added_at: settings.addedAt,
  checked_at: checkedAt,
  error,
});

export const noUpstream = (id: string): ApiError =>
  new ApiError(404, `There is no upstream with the id '${id}'.`, { code: "upstream_not_found" });
