// Who may come in: an API key for /v1, an operator's credential for /admin.
import type { Context, MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { ApiError } from "../api-error.ts";
import type { AppEnv } from "../http/context.ts";
import { guardedPaths } from "../http/guarded-paths.ts";
import { bearer } from "./bearer.ts";
import { findCaller } from "./key-store.ts";
import { findOperator } from "./operator-store.ts";

const unauthorized = (message: string) =>
  new ApiError(401, message, {
    type: "authentication_error",
    code: "invalid_api_key",
    headers: { "www-authenticate": "Bearer" },
  });

/** Whether the URL is one of ours. An unknown one needs no credential to be answered with 404. */
function isKnown(c: Context<AppEnv>): boolean {
  const guards = ["/*", ...Object.values(guardedPaths).map((path) => `${path}*`)];
  return matchedRoutes(c).some(({ path }) => !guards.includes(path));
}

export const requireKey: MiddlewareHandler<AppEnv> = async (c, next) => {
  if (!isKnown(c)) return await next();
  const key = bearer(c.req.raw);
  if (key === null) {
    throw unauthorized("You didn't provide an API key: send `Authorization: Bearer <key>`.");
  }
  const caller = await findCaller(c.env, key, (promise) => c.executionCtx.waitUntil(promise));
  if (!caller) throw unauthorized("Incorrect API key provided.");
  if (caller.revoked) throw unauthorized("This API key has been revoked.");
  if (caller.expiresAt !== null && caller.expiresAt <= Date.now()) {
    throw unauthorized("This API key has expired.");
  }
  c.set("caller", caller);
  await next();
};

export const requireOperator: MiddlewareHandler<AppEnv> = async (c, next) => {
  if (!isKnown(c)) return await next();
  const given = bearer(c.req.raw);
  const operator = given === null ? null : await findOperator(c.env, given);
  if (!operator) throw unauthorized("This needs the admin credential.");
  if (operator.scope === "read" && c.req.method !== "GET") {
    throw new ApiError(403, "This credential may read, and change nothing.", {
      type: "permission_error",
      code: "insufficient_scope",
    });
  }
  c.set("operator", operator.id);
  await next();
};
