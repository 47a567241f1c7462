// The pool as a request sees it. The isolate caches the view for a moment, so that most requests cost no
// call to the pool's object.
import { ApiError } from "../api-error.ts";
import { type Environment, poolObject } from "../environment.ts";
import type { PoolView } from "./pool.ts";

/** Younger than this, the view is used without asking. */
const freshMs = 200;
/** Younger than this, it is used while a newer one is fetched. */
const usableMs = 1_500;
/** Younger than this, it is used if the pool's object does not answer. */
const lastResortMs = 60_000;
const timeoutMs = 5_000;

let cached: { view: PoolView; at: number } | undefined;
let refresh: Promise<PoolView> | undefined;

/** Throws a 503 ApiError if the pool's object does not answer. */
async function ask(env: Environment): Promise<PoolView> {
  const at = Date.now();
  try {
    const late = scheduler.wait(timeoutMs).then(() => Promise.reject(new Error("timeout")));
    const view = await Promise.race([poolObject(env).view(), late]);
    cached = { view, at };
    return view;
  } catch (error) {
    console.error("the pool's object did not answer", error);
    throw new ApiError(503, "The pool can't be seen; try again.", {
      code: "pool_unavailable",
      headers: { "retry-after": "1" },
    });
  }
}

/** `newest` waits for a view no older than the call. */
export async function poolView(
  env: Environment,
  waitUntil: (promise: Promise<unknown>) => void,
  newest = false,
): Promise<PoolView> {
  const age = cached ? Date.now() - cached.at : Number.POSITIVE_INFINITY;
  if (newest) return ask(env);
  if (cached && age < freshMs) return cached.view;
  // One isolate asks once at a time. In workerd a request must not await a promise that another request
  // created, so only a view that can be used immediately is shared.
  if (cached && age < usableMs) {
    if (!refresh) {
      refresh = ask(env).finally(() => {
        refresh = undefined;
      });
      waitUntil(refresh.catch((error) => console.error("the pool's view was not renewed", error)));
    }
    return cached.view;
  }
  try {
    return await ask(env);
  } catch (error) {
    // Workers rarely move: an old view is better than none.
    if (cached && age < lastResortMs) return cached.view;
    throw error;
  }
}

export function forgetPool(): void {
  cached = undefined;
}
