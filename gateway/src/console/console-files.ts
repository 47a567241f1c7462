// The console's files, under paths of their own, with headers that let a page load and call nothing but this gateway.
import type { Context } from "hono";
import type { AppEnv } from "../http/context.ts";

/** Hono's patterns. Vite puts everything but the page itself under /assets/, each file under a name of its content. */
export const consolePaths = ["/", "/assets/*"];

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const headers = {
  "content-security-policy": policy,
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

const forever = "public, max-age=31536000, immutable";

export async function consoleFile(c: Context<AppEnv>): Promise<Response> {
  const file = await c.env.ASSETS.fetch(c.req.raw);
  if (file.status === 404) return c.notFound();
  const response = new Response(file.body, file);
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
  response.headers.set("cache-control", c.req.path === "/" ? "no-cache" : forever);
  return response;
}
