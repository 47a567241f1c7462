// Every request gets an id, which its response carries, and one structured log line without content. Workers report twice a
// second: that is logged if it fails.
import type { MiddlewareHandler } from "hono";
import type { AppEnv } from "./context.ts";

const heartbeat = "/anabranch.v1.Pool/Heartbeat";

export const accessLog: MiddlewareHandler<AppEnv> = async (c, next) => {
  const at = Date.now();
  const requestId = crypto.randomUUID().replaceAll("-", "");
  c.set("at", at);
  c.set("requestId", requestId);
  await next();
  c.res.headers.set("x-request-id", requestId);
  c.res.headers.set("openai-processing-ms", String(Date.now() - at));
  if (c.env.ANABRANCH_ACCESS_LOG === "off") return;
  if (c.req.path === heartbeat && c.res.ok) return;
  const caller = c.get("caller");
  console.log(
    JSON.stringify({
      event: "request",
      request_id: requestId,
      method: c.req.method,
      path: c.req.path,
      status: c.res.status,
      /** Until the head of the response; the usage row says how long the answer took. */
      ms: Date.now() - at,
      ...(caller ? { tenant: caller.tenantId, key: caller.keyId } : {}),
    }),
  );
};
