// The pool as a request sees it: plain values, remembered by the isolate for a moment so that most
// requests cost no call to the pool's object.
import { ApiError } from "../api-error.ts";
import { type Environment, poolObject } from "../environment.ts";

export interface Model {
  id: string;
  digest: string;
  backend: string;
  /** Empty: the model does not branch. */
  dialect: string;
  contextTokens: number;
  defaultMaxTokens: number;
}

export interface WorkerLoad {
  runningRequests: number;
  queuedRequests: number;
  liveLanes: number;
  kvBlocksFree: number;
  kvBlocksTotal: number;
}

export interface PoolWorker {
  id: string;
  url: string;
  credential: string;
  models: Model[];
  load: WorkerLoad;
  draining: boolean;
  /** Heard from lately. */
  healthy: boolean;
  /** ms since the epoch. */
  registeredAt: number;
  seenAt: number;
}

export interface PoolView {
  workers: PoolWorker[];
}

/** Younger than this, the view is used without asking. */
const freshMs = 200;
/** Younger than this, it is used while a newer one is fetched. */
const usableMs = 1_500;
/** Younger than this, it is used where the pool's object does not answer. */
const lastResortMs = 60_000;
const timeoutMs = 5_000;

let remembered: { view: PoolView; at: number } | undefined;
let asking: Promise<PoolView> | undefined;

/** Throws a 503 ApiError where the pool's object does not answer. */
async function ask(env: Environment): Promise<PoolView> {
  const at = Date.now();
  try {
    const late = scheduler.wait(timeoutMs).then(() => Promise.reject(new Error("timeout")));
    const view = await Promise.race([poolObject(env).view(), late]);
    remembered = { view, at };
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
  const age = remembered ? Date.now() - remembered.at : Number.POSITIVE_INFINITY;
  if (newest) return ask(env);
  if (remembered && age < freshMs) return remembered.view;
  // One isolate asks once at a time. A promise that another request began must not be awaited in
  // workerd, so only a view that can be used at once is shared.
  if (remembered && age < usableMs) {
    if (!asking) {
      asking = ask(env).finally(() => {
        asking = undefined;
      });
      waitUntil(asking.catch((error) => console.error("the pool's view was not renewed", error)));
    }
    return remembered.view;
  }
  try {
    return await ask(env);
  } catch (error) {
    // Workers rarely move: an old view that may be right beats none.
    if (remembered && age < lastResortMs) return remembered.view;
    throw error;
  }
}

export function forgetPool(): void {
  remembered = undefined;
}
