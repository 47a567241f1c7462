// Which workers to try for a request, best first: those with little to do, and among them the one that may have
// computed the beginning of the prompt before.
import { hash } from "@anabranch/shared/hash.ts";
import type { PoolWorker } from "../pool/pool.ts";
import { isBroken } from "./breaker.ts";

interface Pool {
  workers: PoolWorker[];
}

interface Sent {
  begun: number;
  ended: number | null;
}

/** What this isolate knows of a worker beside the worker's own, slightly older, reports. */
interface Known {
  /** Of its id. */
  hash: number;
  requests: Set<Sent>;
  /** Of those, the ones that run. */
  running: number;
  /** When a message of an answer came, ms since the epoch; 0: never. */
  heardAt: number;
  /** The number of the choice that last took this worker: equally loaded workers alternate. */
  chosen: number;
}

/** Much longer than the time between two reports. */
const keepMs = 10_000;
const maxWorkers = 10_000;
/** A worker from which an answer's messages came so recently is healthy, whatever the pool has heard of it. */
const heardMs = 2_000;
/** Many times as long as a worker is silent before it is not healthy. */
const silentMs = 10_000;
/** The order of the others hardly matters: they are tried if all of these refuse. */
const sortedWorkers = 16;

/** How a prompt begins. */
export interface Beginning {
  /** Equal for prompts whose KV may be shared: of one tenant, one model and one first message. */
  hash: number;
  /** How many more requests its worker may have than the least loaded one, and still be the better choice. */
  worth: number;
}

/** So many bytes of a prompt take a worker about as long to compute as a request takes to decode. */
const bytesOfRequest = 2_000;
const maxWorth = 8;

/** @param first what a conversation begins with, in all of its turns @param bytes of the whole prompt */
export const beginningOf = (tenant: string, first: string, bytes: number): Beginning => ({
  hash: hash(`${tenant}\n${first}`),
  worth: Math.min(maxWorth, bytes / bytesOfRequest),
});

/** Uniform over workers for each beginning, and over beginnings for each worker. */
const mixed = (a: number, b: number) => {
  const h = Math.imul(a ^ b ^ (b >>> 15), 0x85ebca6b);
  return (h ^ (h >>> 13)) >>> 0;
};

export class Router {
  readonly #now: () => number;
  /** By worker id, the one that was asked for longest ago first. */
  readonly #known = new Map<string, Known>();
  #choices = 0;

  /** `now` gives ms since the epoch. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Counts a request as running on `workerId` until the returned function is called. */
  begin(workerId: string): () => void {
    const known = this.#knownOf(workerId);
    known.chosen = ++this.#choices;
    this.#known.delete(workerId);
    this.#known.set(workerId, known);
    const request: Sent = { begun: this.#now(), ended: null };
    known.requests.add(request);
    known.running++;
    return () => {
      if (request.ended !== null) return;
      const now = this.#now();
      request.ended = now;
      known.running--;
      for (const each of known.requests) {
        if (each.ended !== null && each.ended < now - keepMs) known.requests.delete(each);
      }
    };
  }

  /** A message of an answer came from `workerId`. */
  heard(workerId: string): void {
    this.#knownOf(workerId).heardAt = this.#now();
  }

  /** Requests of this isolate that run on a worker now. */
  runningOn(workerId: string): number {
    return this.#known.get(workerId)?.running ?? 0;
  }

  /**
   * Workers that have `model` and may be tried, the best first. The one that a beginning belongs to is the same for
   * all gateways, and stays so for most beginnings when workers come and go (rendezvous hashing).
   */
  candidates(view: Pool, model: string, beginning?: Beginning): PoolWorker[] {
    const now = this.#now();
    const scored: Scored[] = [];
    let home: Scored | undefined;
    let mostWeight = -1;
    for (const worker of this.#reachable(view, model, now)) {
      const known = this.#knownOf(worker.id);
      // Out of reach a moment ago: tried last.
      const broken = isBroken(worker, now) ? 1 : 0;
      const each = { worker, broken, cost: costOf(worker, known), chosen: known.chosen };
      scored.push(each);
      const weight = beginning ? mixed(beginning.hash, known.hash) : -1;
      if (weight > mostWeight) {
        mostWeight = weight;
        home = each;
      }
    }
    if (home && beginning) home.cost -= beginning.worth;
    return bestFirst(scored, sortedWorkers).map(({ worker }) => worker);
  }

  /**
   * Those with `model`. If all are silent, those that were heard of a moment ago: a gateway that has much to do hears late
   * of them, and one that restarts is back soon.
   */
  #reachable({ workers }: Pool, model: string, now: number): PoolWorker[] {
    const having = workers.filter(
      ({ draining, models }) => !draining && models.some(({ id }) => id === model),
    );
    const isHeard = ({ id }: PoolWorker) => now - (this.#known.get(id)?.heardAt ?? 0) < heardMs;
    const healthy = having.filter((worker) => worker.healthy || isHeard(worker));
    if (healthy.length > 0) return healthy;
    return having.filter(({ seenAt, upstream }) => !upstream && now - seenAt < silentMs);
  }

  #knownOf(workerId: string): Known {
    const known = this.#known.get(workerId);
    if (known) return known;
    const [oldest] = this.#known.keys();
    if (this.#known.size >= maxWorkers && oldest !== undefined) this.#known.delete(oldest);
    const made = {
      hash: hash(workerId),
      requests: new Set<Sent>(),
      running: 0,
      heardAt: 0,
      chosen: 0,
    };
    this.#known.set(workerId, made);
    return made;
  }
}

interface Scored {
  worker: PoolWorker;
  broken: number;
  cost: number;
  chosen: number;
}

const isBefore = (a: Scored, b: Scored): boolean =>
  (a.broken - b.broken || a.cost - b.cost || a.chosen - b.chosen) < 0;

/** The `count` best in order, then the others: to sort all of a large pool takes most of a decision's time. */
function bestFirst(scored: readonly Scored[], count: number): Scored[] {
  const best: Scored[] = [];
  const others: Scored[] = [];
  for (const each of scored) {
    let at = best.length;
    for (let before = best[at - 1]; before && isBefore(each, before); before = best[at - 1]) at--;
    if (at >= count) {
      others.push(each);
      continue;
    }
    best.splice(at, 0, each);
    if (best.length > count) others.push(...best.splice(count));
  }
  return [...best, ...others];
}

/** Requests in flight, plus a barrier that grows as KV fills. */
function costOf(worker: PoolWorker, known: Known): number {
  const { kvBlocksFree, kvBlocksTotal } = worker.load;
  const filled = kvBlocksTotal > 0 ? 1 - kvBlocksFree / kvBlocksTotal : 0;
  return inFlight(worker, known) + 8 * filled ** 4;
}

/** Requests on a worker now: its report, corrected by what was sent and ended since. */
function inFlight(worker: PoolWorker, { requests, running }: Known): number {
  // An upstream reports no load.
  if (worker.upstream) return running;
  let count = worker.load.runningRequests + worker.load.queuedRequests;
  for (const { begun, ended } of requests) {
    if (begun >= worker.seenAt && ended === null) count++;
    if (begun < worker.seenAt && ended !== null && ended >= worker.seenAt) count--;
  }
  return Math.max(0, count);
}

/** Of this isolate. */
export const router = new Router();
