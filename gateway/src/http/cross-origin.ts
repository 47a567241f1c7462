// Which web pages of other origins may call /v1 (CORS). None, unless the operator names them.
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import type { AppEnv } from "./context.ts";

/** Of the gateway's own headers, those that a page may read. */
const exposed = [
  ...["x-request-id", "retry-after", "openai-processing-ms"],
  ...["x-anabranch-cache", "x-anabranch-mode", "x-should-retry"],
  ...["limit", "remaining", "reset"].flatMap((what) => [
    `x-ratelimit-${what}-requests`,
    `x-ratelimit-${what}-tokens`,
  ]),
];
const maxAgeSeconds = 600;

/** `ANABRANCH_CORS_ORIGINS`: origins after commas, or `*`. */
const allowed = (origins: string, origin: string): string | null => {
  const list = origins.split(",").map((each) => each.trim());
  if (list.includes("*")) return "*";
  return list.includes(origin) ? origin : null;
};

export const crossOrigin: MiddlewareHandler<AppEnv> = async (c, next) => {
  const origins = c.env.ANABRANCH_CORS_ORIGINS;
  if (!origins) return await next();
  return await cors({
    origin: (origin) => allowed(origins, origin),
    allowMethods: ["GET", "POST", "DELETE"],
    exposeHeaders: exposed,
    maxAge: maxAgeSeconds,
  })(c, next);
};
