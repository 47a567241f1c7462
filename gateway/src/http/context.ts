// What a handler knows of its request, beside the request itself.
import type { Context } from "hono";
import type { Caller } from "../auth/key-store.ts";
import type { Environment } from "../environment.ts";
import type { Reservation } from "../limits/reservation.ts";

/** Hono's view of the app: what middleware sets, handlers read. */
export interface AppEnv {
  Bindings: Environment;
  Variables: {
    requestId: string;
    /** When the request arrived, ms since the epoch. */
    at: number;
    /** Set under /v1 by `requireKey`. */
    caller?: Caller;
  };
}

export interface RequestContext {
  request: Request;
  /** Path parameters. */
  params: Record<string, string>;
  env: Environment;
  /** 32 hex digits; also the `x-request-id` of the response. */
  requestId: string;
  /** When the request arrived, ms since the epoch. */
  at: number;
  /** Aborted when the client leaves, where the platform reports it. */
  signal: AbortSignal;
  waitUntil(promise: Promise<unknown>): void;
}

/** The request of a tenant, under one of its keys. */
export interface TenantContext extends RequestContext {
  caller: Caller;
  /** Its share of the key's limits. */
  reservation: Reservation;
}

export function contextOf(c: Context<AppEnv>): RequestContext {
  return {
    request: c.req.raw,
    params: c.req.param() as Record<string, string>,
    env: c.env,
    requestId: c.get("requestId"),
    at: c.get("at"),
    signal: c.req.raw.signal,
    waitUntil: (promise) => c.executionCtx.waitUntil(promise),
  };
}
