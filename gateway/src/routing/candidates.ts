// Which workers to try for a model, best first.
import type { PoolView, PoolWorker } from "../pool/pool.ts";
import { isBroken } from "./breaker.ts";

interface Sent {
  begun: number;
  ended: number | null;
}

/** What this isolate knows of a worker beside the worker's own, slightly older, reports. */
interface Recent {
  requests: Set<Sent>;
  /** The number of the choice that last took this worker: equally loaded workers alternate. */
  chosen: number;
}

const recent = new Map<string, Recent>();
let choices = 0;
/** Much longer than the time between two reports. */
const keepMs = 10_000;
const maxWorkers = 10_000;

/** Counts a request as running on `workerId` until the returned function is called. */
export function begin(workerId: string): () => void {
  const { requests } = recent.get(workerId) ?? { requests: new Set<Sent>() };
  recent.delete(workerId);
  recent.set(workerId, { requests, chosen: ++choices });
  const [oldest] = recent.keys();
  if (recent.size > maxWorkers && oldest !== undefined) recent.delete(oldest);
  const request: Sent = { begun: Date.now(), ended: null };
  requests.add(request);
  return () => {
    request.ended ??= Date.now();
    for (const each of requests) {
      if (each.ended !== null && each.ended < Date.now() - keepMs) requests.delete(each);
    }
  };
}

/** Requests of this isolate that run on a worker now. */
export function runningOn(workerId: string): number {
  const requests = [...(recent.get(workerId)?.requests ?? [])];
  return requests.filter(({ ended }) => ended === null).length;
}

/** Requests on a worker now: its report, corrected by what was sent and ended since. */
function inFlight(worker: PoolWorker): number {
  // An upstream reports no load.
  if (worker.upstream) return runningOn(worker.id);
  let count = worker.load.runningRequests + worker.load.queuedRequests;
  for (const { begun, ended } of recent.get(worker.id)?.requests ?? []) {
    if (begun >= worker.seenAt && ended === null) count++;
    if (begun < worker.seenAt && ended !== null && ended >= worker.seenAt) count--;
  }
  return Math.max(0, count);
}

/** Requests in flight, plus a barrier that grows as KV fills. */
function cost(worker: PoolWorker): number {
  const { kvBlocksFree, kvBlocksTotal } = worker.load;
  const filled = kvBlocksTotal > 0 ? 1 - kvBlocksFree / kvBlocksTotal : 0;
  return inFlight(worker) + 8 * filled ** 4;
}

/** Workers that have `model` and may be tried, the least loaded first. */
export function candidates(view: PoolView, model: string): PoolWorker[] {
  const able = view.workers.filter(
    (worker) => worker.healthy && !worker.draining && worker.models.some(({ id }) => id === model),
  );
  const scored = able.map((worker) => ({
    worker,
    // Out of reach a moment ago: tried last.
    broken: isBroken(worker) ? 1 : 0,
    cost: cost(worker),
    chosen: recent.get(worker.id)?.chosen ?? 0,
  }));
  scored.sort((a, b) => a.broken - b.broken || a.cost - b.cost || a.chosen - b.chosen);
  return scored.map(({ worker }) => worker);
}
