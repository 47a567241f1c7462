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
    /** Set under /admin by `requireOperator`: the id of the credential. */
    operator?: string;
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
  /** The id of the operator's credential; empty: the one of the environment, or no operator's request. */
  operator: string;
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
    operator: c.get("operator") ?? "",
    signal: c.req.raw.signal,
    waitUntil: (promise) => c.executionCtx.waitUntil(promise),
  };
}
