// Tenants take turns at the workers: of one that comes with hundreds of requests at once, only some are on their way to a
// worker, so that another tenant's request does not wait behind all of them.
import { Slots } from "../http/slots.ts";
import type { PoolWorker } from "../pool/pool.ts";

/** To begin an answer takes some milliseconds of this isolate's thread and of the worker's. */
const atOnce = 24;

const slots = new Map<string, Slots>();

/**
 * Resolves when a request of the tenant may go to the worker, with what ends its turn: call it once the worker has said
 * something, or won't. Rejects if `signal` is aborted before.
 */
export async function takeTurn(
  tenant: string,
  worker: PoolWorker,
  signal: AbortSignal,
): Promise<() => void> {
  // An upstream need not say anything before an answer's first text.
  if (worker.upstream) return () => {};
  const name = JSON.stringify([tenant, worker.id]);
  const own = slots.get(name) ?? new Slots(atOnce);
  slots.set(name, own);
  const leave = await own.enter(signal);
  return () => {
    leave();
    if (own.isIdle) slots.delete(name);
  };
}
