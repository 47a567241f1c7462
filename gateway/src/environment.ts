// The gateway's bindings and secrets, as wrangler.toml names them. Nothing else reads them by name.
import type { AnswersObject } from "./cache/answers-object.ts";
import type { PoolObject } from "./pool/pool-object.ts";
import type { TenantObject } from "./tenant/tenant-object.ts";

export interface Environment {
  DB: D1Database;
  /** The console's files. */
  ASSETS: Fetcher;
  POOL: DurableObjectNamespace<PoolObject>;
  TENANT: DurableObjectNamespace<TenantObject>;
  ANSWERS: DurableObjectNamespace<AnswersObject>;
  /** "off": requests are not logged. */
  ANABRANCH_ACCESS_LOG?: string;
  /** The origins whose web pages may call /v1, after commas; "*": all. Default: none. */
  ANABRANCH_CORS_ORIGINS?: string;
  /** How long answers are cached, and how much of a tenant's: 24 and 64. */
  ANABRANCH_CACHE_HOURS?: string;
  ANABRANCH_CACHE_MB?: string;
  /** How many days usage is kept, a row for each request and the sums of them; empty: for ever. */
  ANABRANCH_USAGE_ROW_DAYS?: string;
  ANABRANCH_USAGE_DAYS?: string;
  /** "on": one isolate serves everything, on a machine of its own, and may be drained. */
  ANABRANCH_LOCAL?: string;
  ANABRANCH_KEY_SECRET: string;
  ANABRANCH_ADMIN_TOKEN: string;
  ANABRANCH_POOL_TOKEN: string;
}

/** The pool has a single object, wherever the workers are. */
export function poolObject(env: Environment): DurableObjectStub<PoolObject> {
  return env.POOL.get(env.POOL.idFromName("pool"));
}

export function tenantObject(env: Environment, tenantId: string): DurableObjectStub<TenantObject> {
  return env.TENANT.get(env.TENANT.idFromName(tenantId));
}

export function answersObject(
  env: Environment,
  tenantId: string,
): DurableObjectStub<AnswersObject> {
  return env.ANSWERS.get(env.ANSWERS.idFromName(tenantId));
}
