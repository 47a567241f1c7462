// A route: its place in the OpenAPI document, the type of its answer, and its handler, all in one
// file each. Who may call it follows from its path, and app.ts guards whole paths.
import { createRoute, type RouteConfig, z } from "@hono/zod-openapi";
import { ApiError, asApiError } from "../api-error.ts";
import type { Scope } from "../auth/key-settings.ts";
import type { Caller } from "../auth/key-store.ts";
import { Reservation } from "../limits/reservation.ts";
import { countRefusal } from "../usage/refusals.ts";
import type { RequestContext, TenantContext } from "./context.ts";
import { drainError, isDraining } from "./drain.ts";
import { bodyErrors, errorResponses, publicErrors } from "./error-responses.ts";
import { type Access, guardedPaths } from "./guarded-paths.ts";

const security: Record<Access, { [scheme: string]: string[] }[]> = {
  public: [],
  tenant: [{ key: [] }],
  operator: [{ admin: [] }],
};

const tags: Record<Access, string> = {
  public: "Gateway",
  tenant: "Clients",
  operator: "Operators",
};

export interface Route {
  /** For the OpenAPI document. */
  readonly config: RouteConfig;
  /** The path as Hono's router reads it. */
  readonly pattern: string;
  readonly handle: (context: RequestContext, caller: Caller | undefined) => Promise<Response>;
}

interface Definition<Schema extends z.ZodType, Context> {
  method: "get" | "post" | "patch" | "delete";
  path: string;
  /** If the router needs more than the document's path says. */
  pattern?: string;
  summary: string;
  /** What a tenant's key must be for; null: any key will do. Default: inference. */
  scope?: Scope | null;
  request?: RouteConfig["request"];
  response: {
    description: string;
    schema: Schema;
    /** What server-sent events hold, if the request can ask for a stream. */
    stream?: string;
  };
  /** Returns the body, which has the type of `response.schema`, or a whole response, such as a stream. */
  handle(context: Context): Promise<z.input<Schema> | Response>;
}

function define<Schema extends z.ZodType, Context extends RequestContext>(
  access: Access,
  definition: Definition<Schema, Context>,
  widen: (context: RequestContext, caller: Caller | undefined) => Context,
): Route {
  const { method, path, summary, request, response } = definition;
  const streamed = response.stream
    ? { "text/event-stream": { schema: z.string().openapi({ description: response.stream }) } }
    : {};
  const guard = access === "public" ? "/" : guardedPaths[access];
  if (!path.startsWith(guard)) throw new Error(`${path} is not under ${guard}`);
  const pattern = definition.pattern ?? path.replaceAll(/\{(\w+)\}/g, ":$1");
  // Guards tell routes from unknown URLs by their patterns.
  if (pattern.endsWith("*")) throw new Error(`${pattern}: a route can't match everything`);
  return {
    config: createRoute({
      ...{ method, path, summary, security: security[access], tags: [tags[access]] },
      operationId: `${method}${path.replaceAll(/[^A-Za-z0-9]+/g, "_")}`.replace(/_$/, ""),
      ...(request ? { request } : {}),
      responses: {
        200: {
          description: response.description,
          content: { "application/json": { schema: response.schema }, ...streamed },
        },
        ...(access === "public" ? publicErrors : errorResponses),
        ...(request?.body ? bodyErrors : {}),
      },
    }),
    pattern,
    async handle(context, caller) {
      const answer = await definition.handle(widen(context, caller));
      return answer instanceof Response ? answer : Response.json(answer);
    },
  };
}

/** Anybody may call it. */
export function publicRoute<Schema extends z.ZodType>(
  definition: Definition<Schema, RequestContext>,
): Route {
  return define("public", definition, (context) => context);
}

const outOfScope = (scope: Scope) =>
  new ApiError(403, `This API key is not for ${scope}.`, {
    type: "permission_error",
    code: "insufficient_scope",
  });

/** Whether a request that ends so counts against its key's limit, beside those that ran. */
const isOwnFault = (error: unknown) =>
  error instanceof ApiError && error.status < 499 && error.status !== 429;

/**
 * Needs an API key. The path is under /v1/. A request with a body counts against the key's requests a minute,
 * also if it is refused.
 */
export function tenantRoute<Schema extends z.ZodType>(
  definition: Definition<Schema, TenantContext>,
): Route {
  const { method, path, handle, scope = "inference" } = definition;
  const counted = async (context: TenantContext) => {
    if (isDraining()) throw drainError();
    const { env, caller, reservation, waitUntil } = context;
    try {
      reservation.checkSpent();
      return await handle(context).catch(async (error) => {
        if (isOwnFault(error)) await reservation.countRequest();
        throw error;
      });
    } catch (error) {
      if (!reservation.hasRow) {
        countRefusal(env.DB, caller, path, asApiError(error).status, waitUntil);
      }
      throw error;
    }
  };
  return define(
    "tenant",
    method === "post" ? { ...definition, handle: counted } : definition,
    (context, caller) => {
      if (!caller) throw new Error(`${definition.path} was reached without a caller`);
      if (scope && !caller.scopes.includes(scope)) throw outOfScope(scope);
      const reservation = new Reservation(context.env, caller, context.requestId);
      return { ...context, caller, reservation };
    },
  );
}

/** Needs the operator's credential. The path is under /admin/. */
export function operatorRoute<Schema extends z.ZodType>(
  definition: Definition<Schema, RequestContext>,
): Route {
  return define("operator", definition, (context) => context);
}

/** A required JSON body, for the OpenAPI document. Handlers read it with `readBody`. */
export const jsonBody = (schema: z.ZodType, example?: object) => ({
  body: {
    required: true,
    content: { "application/json": { schema, ...(example && { example }) } },
  },
});
