// Which workers to try for a model, best first.
import type { PoolView, PoolWorker } from "../pool/pool-view.ts";
import { isBroken } from "./breaker.ts";

interface Sent {
  begun: number;
  ended: number | null;
}

/** What this isolate sent to each worker lately: a report is always a little behind. */
const sent = new Map<string, Set<Sent>>();
/** When each worker was last chosen, so that equals take turns. */
const lastChosen = new Map<string, number>();
let turn = 0;
/** Longer than the time between two reports by far. */
const keepMs = 10_000;

/** Counts a request as running on `workerId` until the returned function is called. */
export function begin(workerId: string): () => void {
  lastChosen.set(workerId, ++turn);
  const requests = sent.get(workerId) ?? new Set();
  sent.set(workerId, requests);
  const request: Sent = { begun: Date.now(), ended: null };
  requests.add(request);
  return () => {
    request.ended ??= Date.now();
    for (const each of requests) {
      if (each.ended !== null && each.ended < Date.now() - keepMs) requests.delete(each);
    }
  };
}

/** Requests on a worker now: what it reported, corrected by what was sent and ended since. */
function inFlight(worker: PoolWorker): number {
  let count = worker.load.runningRequests + worker.load.queuedRequests;
  for (const { begun, ended } of sent.get(worker.id) ?? []) {
    if (begun >= worker.seenAt && ended === null) count++;
    if (begun < worker.seenAt && ended !== null && ended >= worker.seenAt) count--;
  }
  return Math.max(0, count);
}

/** Requests in flight, and a barrier that grows as KV fills. */
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
    // Out of reach a moment ago: tried when nothing else is left.
    broken: isBroken(worker) ? 1 : 0,
    cost: cost(worker),
    turn: lastChosen.get(worker.id) ?? 0,
  }));
  scored.sort((a, b) => a.broken - b.broken || a.cost - b.cost || a.turn - b.turn);
  return scored.map(({ worker }) => worker);
}
