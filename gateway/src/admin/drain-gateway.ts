// POST /admin/v1/drain
import { z } from "@hono/zod-openapi";
import { ApiError } from "../api-error.ts";
import { readBody } from "../http/body.ts";
import { drain } from "../http/drain.ts";
import { jsonBody, operatorRoute } from "../http/route.ts";

const body = z.object({
  seconds: z.number().min(0).max(3_600).openapi({
    description: "How long running answers may take; then they end with an error event",
  }),
});

export const drainGateway = operatorRoute({
  method: "post",
  path: "/admin/v1/drain",
  summary:
    "Before a local gateway ends: refuses new requests and answers when the running ones have ended",
  request: jsonBody(body),
  response: { description: "Nothing runs", schema: z.object({ drained: z.literal(true) }) },
  async handle({ request, env }) {
    const { seconds } = await readBody(request, body);
    if (env.ANABRANCH_LOCAL !== "on") {
      throw new ApiError(
        409,
        "Only a local gateway is drained; Cloudflare drains its isolates itself.",
        { code: "not_local" },
      );
    }
    await drain(seconds * 1_000);
    return { drained: true as const };
  },
});
