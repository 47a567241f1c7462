// Which workers to try for a request, best first: those that are expected to have its first tokens soonest. One that may have computed
// the beginning of the prompt before has less to do.
import { hash } from "@anabranch/shared/hash.ts";
import type { PoolWorker, StepCosts } from "../pool/pool.ts";
import { isBroken } from "./breaker.ts";
import { expectedTime, type Needs, type Since } from "./expected-time.ts";

interface Pool {
  workers: PoolWorker[];
}

interface Sent {
  requests: number;
  /** Of the prompt, to be computed. */
  tokens: number;
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
/** All workers of a pool of so many are compared for each request. */
const smallPool = 8;
/**
 * Of a larger one so many, others each time, and the one that the prompt's beginning belongs to: if every gateway took the best
 * worker of the last reports, it would be everybody's. The others are tried if these refuse.
 */
const comparedWorkers = 3;

/** What is known of a request before it runs. */
export interface Coming extends Needs {
  /** Equal for prompts whose KV may be shared: of one tenant, one model and one first message. null: none shares it. */
  beginning: number | null;
  /** Tokens of the prompt that an earlier turn had, its answer included. */
  earlierTokens: number;
}

/** A request of which nothing is known. */
const small: Coming = { promptTokens: 0, requests: 1, beginning: null, earlierTokens: 0 };

/**
 * The worker that a beginning belongs to is taken as if it had at least this share of the prompt: what it computes now, the next
 * turns find there.
 */
const shareOfHome = 0.5;

/** @param first what a conversation begins with, in all of its turns */
export const beginningOf = (tenant: string, first: string): number => hash(`${tenant}\n${first}`);

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
  /** Where the next comparison begins. */
  #next = 0;

  /** `now` gives ms since the epoch. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Counts what `coming` needs as running on `workerId` until the returned function is called. */
  begin(workerId: string, coming: Coming = small): () => void {
    const known = this.#knownOf(workerId);
    known.chosen = ++this.#choices;
    this.#known.delete(workerId);
    this.#known.set(workerId, known);
    const { requests, promptTokens, earlierTokens } = coming;
    const tokens = promptTokens - earlierTokens;
    const request: Sent = { requests, tokens, begun: this.#now(), ended: null };
    known.requests.add(request);
    known.running++;
    return () => {
      if (request.ended !== null) return;
      const now = this.#now();
      request.ended = now;
      known.running--;
      for (const each of known.requests) {
        if (each.ended === null || each.ended >= now - keepMs) break;
        known.requests.delete(each);
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
  candidates(view: Pool, model: string, coming: Coming = small): PoolWorker[] {
    const now = this.#now();
    const all = this.#reachable(view, model, now);
    const home = coming.beginning === null ? undefined : this.#homeOf(all, coming.beginning);
    const [compared, others] = this.#split(all);
    if (home && !compared.includes(home)) {
      others.splice(others.indexOf(home), 1);
      compared.push(home);
    }
    const assumed = quickest(compared);
    const best = compared
      .map((worker) => this.#score(worker, coming, worker === home, now, assumed))
      .sort((a, b) => a.broken - b.broken || a.ms - b.ms || a.chosen - b.chosen);
    return [...best.map(({ worker }) => worker), ...others];
  }

  /** Those to be compared, and the others. */
  #split(all: PoolWorker[]): [PoolWorker[], PoolWorker[]] {
    if (all.length <= smallPool) return [all, []];
    const start = this.#next % all.length;
    this.#next = start + comparedWorkers;
    const order = [...all.slice(start), ...all.slice(0, start)];
    return [order.slice(0, comparedWorkers), order.slice(comparedWorkers)];
  }

  #score(
    worker: PoolWorker,
    coming: Coming,
    isHome: boolean,
    now: number,
    assumed: StepCosts | undefined,
  ): Scored {
    const known = this.#knownOf(worker.id);
    const { promptTokens, earlierTokens } = coming;
    const cached = isHome ? Math.max(earlierTokens, shareOfHome * promptTokens) : 0;
    return {
      worker,
      // Out of reach a moment ago: tried last.
      broken: isBroken(worker, now) ? 1 : 0,
      ms: expectedTime(worker, sinceReport(worker, known, now), coming, cached, assumed),
      chosen: known.chosen,
    };
  }

  #homeOf(workers: readonly PoolWorker[], beginning: number): PoolWorker | undefined {
    let most = -1;
    let home: PoolWorker | undefined;
    for (const worker of workers) {
      const weight = mixed(beginning, this.#knownOf(worker.id).hash);
      if (weight <= most) continue;
      most = weight;
      home = worker;
    }
    return home;
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
  /** To the first tokens. */
  ms: number;
  chosen: number;
}

function sinceReport(
  { seenAt, upstream }: PoolWorker,
  { requests: sent }: Known,
  now: number,
): Since {
  // An upstream reports nothing.
  const reportedAt = upstream ? 0 : seenAt;
  const prompts: { tokens: number; ms: number }[] = [];
  let requests = 0;
  for (const each of sent) {
    const { requests: count, tokens, begun, ended } = each;
    if (ended !== null && (upstream || ended < reportedAt)) {
      sent.delete(each); // nothing is left of it that the report does not have
    } else if (begun >= reportedAt) {
      prompts.push({ tokens, ms: now - begun });
      if (ended === null) requests += count;
    } else if (ended !== null) requests -= count;
  }
  return { ms: now - reportedAt, requests, prompts };
}

/** The costs of the quickest: those of a newcomer are taken to be the same, so that it gets requests and measures its own. */
const quickest = (workers: readonly PoolWorker[]): StepCosts | undefined =>
  workers
    .flatMap(({ load: { stepCosts } }) => stepCosts ?? [])
    .reduce<StepCosts | undefined>((a, b) => (a && a.stepMs <= b.stepMs ? a : b), undefined);

/** Of this isolate. */
export const router = new Router();
