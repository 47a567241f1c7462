// A pool of workers in simulated time, fed by the gateway's router and each worker's queue as they are.
import type { Model, PoolWorker } from "@anabranch/gateway/pool/pool.ts";
import { beginningOf, Router } from "@anabranch/gateway/routing/router.ts";
import { FairQueue } from "@anabranch/gpu-worker/fair-queue.ts";
import { Random } from "@anabranch/training/random.ts";
import { type Quantiles, quantiles } from "../quantiles.ts";
import { round } from "../report.ts";
import { type Asked, Workload } from "./workload.ts";

export const policies = ["ours", "no-prefix", "least-loaded", "round-robin", "random"] as const;
/**
 * ours: the router; no-prefix: the router without the beginnings of prompts; least-loaded: by the reports alone.
 */
export type Policy = (typeof policies)[number];

export interface Pool {
  workers: number;
  /** Isolates of gateways; each knows what it sent itself. */
  gateways: number;
  requestsPerMinute: number;
  seconds: number;
}

export interface PolicyFigures {
  policy: Policy;
  requests: number;
  refused: number;
  /** From the request to its first token. */
  first_token_ms: Quantiles;
  /** Prompt tokens that a worker had in its prefix cache, of all. */
  prefix_hits: number;
  decision_us: Quantiles;
}

/** Of a worker: about a 14B model on one large GPU. */
const hardware = {
  running: 32,
  queue: 128,
  stepMs: 25,
  /** More for each lane in the step. */
  laneMs: 0.1,
  prefillMsPerToken: 0.1,
  cachedTokens: 400_000,
};
const reportMs = 1_000;
const bytesPerToken = 4;

/** What happens, in the order of time. */
class Agenda {
  readonly #heap: { at: number; run: () => void }[] = [];

  add(at: number, run: () => void): void {
    const heap = this.#heap;
    heap.push({ at, run });
    for (let i = heap.length - 1; i > 0; ) {
      const up = (i - 1) >> 1;
      if (at >= (heap[up]?.at ?? 0)) break;
      this.#swap(i, up);
      i = up;
    }
  }

  next(): { at: number; run: () => void } | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    heap[0] = last;
    for (let i = 0; ; ) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if ((heap[child]?.at ?? Infinity) < (heap[least]?.at ?? Infinity)) least = child;
      }
      if (least === i) return first;
      this.#swap(i, least);
      i = least;
    }
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap;
    const [first, second] = [heap[a], heap[b]];
    if (first && second) [heap[a], heap[b]] = [second, first];
  }
}

const served: Model = {
  ...{ id: "model", digest: "", backend: "", dialect: "" },
  ...{ contextTokens: 32_768, defaultMaxTokens: 1_024 },
};

class SimulatedWorker {
  readonly row: PoolWorker;
  readonly queue: FairQueue;
  lanes = 0;
  running = 0;
  /** By conversation, the least recently used first. */
  readonly #cached = new Map<number, number>();
  #tokens = 0;

  constructor(index: number, now: () => number) {
    this.queue = new FairQueue(hardware.running, hardware.queue, now);
    this.row = {
      ...{ id: `worker-${index}`, url: "", credential: "", draining: false, healthy: true },
      ...{ registeredAt: 0, seenAt: 0, load: this.#load() },
      models: [served],
    };
  }

  report(now: number): void {
    this.row.load = this.#load();
    this.row.seenAt = now;
  }

  /** Tokens of the prompt that need not be computed. */
  take({ id, promptTokens }: Asked): number {
    const known = this.#cached.get(id) ?? 0;
    this.#cached.delete(id);
    this.#cached.set(id, promptTokens);
    this.#tokens += promptTokens - known;
    for (const [oldest, tokens] of this.#cached) {
      if (this.#tokens <= hardware.cachedTokens) break;
      this.#cached.delete(oldest);
      this.#tokens -= tokens;
    }
    return Math.min(known, promptTokens);
  }

  #load() {
    return {
      ...{ runningRequests: this.running, queuedRequests: this.queue?.waiting ?? 0 },
      ...{ liveLanes: this.lanes, kvBlocksFree: 1, kvBlocksTotal: 1 },
    };
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** One policy over the same requests as every other one. */
export async function simulate(policy: Policy, pool: Pool): Promise<PolicyFigures> {
  const random = new Random(1);
  const choice = new Random(2);
  let now = 0;
  const agenda = new Agenda();
  const workers = Array.from(
    { length: pool.workers },
    (_, index) => new SimulatedWorker(index, () => now),
  );
  const byId = new Map(workers.map((worker) => [worker.row.id, worker]));
  const view = { workers: workers.map(({ row }) => row) };
  const routers = Array.from({ length: pool.gateways }, () => new Router(() => now));
  const end = pool.seconds * 1_000;
  let turn = 0;

  const report = (worker: SimulatedWorker) => {
    worker.report(now);
    if (now < end) agenda.add(now + reportMs, () => report(worker));
  };
  for (const [index, worker] of workers.entries()) {
    agenda.add((index / pool.workers) * reportMs, () => report(worker));
  }

  const firstTokenMs: number[] = [];
  const decisionUs: number[] = [];
  let [requests, refused, promptTokens, hitTokens] = [0, 0, 0, 0];

  const order = (router: Router, asked: Asked): PoolWorker[] => {
    const anywhere = () => view.workers[Math.floor(choice.float() * workers.length)] as PoolWorker;
    switch (policy) {
      case "random":
        return [anywhere(), anywhere()];
      case "round-robin":
        return [0, 1].map((i) => view.workers[(turn++ + i) % workers.length] as PoolWorker);
      case "least-loaded": {
        const busy = ({ load }: PoolWorker) => load.runningRequests + load.queuedRequests;
        return [...view.workers].sort((a, b) => busy(a) - busy(b));
      }
      default: {
        const { tenant, id } = asked;
        const beginning = beginningOf(tenant, String(id), asked.promptTokens * bytesPerToken);
        return router.candidates(view, served.id, policy === "ours" ? beginning : undefined);
      }
    }
  };

  const serve = async (worker: SimulatedWorker, asked: Asked, ended: () => void) => {
    const claim = { tenant: asked.tenant, key: "", weight: 1, priority: 0, size: 1 };
    const arrived = now;
    const leave = await worker.queue.enter(claim, new AbortController().signal);
    const cached = worker.take(asked);
    hitTokens += cached;
    worker.running++;
    worker.lanes += asked.lanes;
    // As busy as it is now, until it ends.
    const step = hardware.stepMs + hardware.laneMs * worker.lanes;
    const prefill = (asked.promptTokens - cached) * hardware.prefillMsPerToken;
    firstTokenMs.push(now - arrived + prefill + step);
    agenda.add(now + prefill + (step * asked.outputTokens) / asked.lanes, () => {
      worker.running--;
      worker.lanes -= asked.lanes;
      leave();
      ended();
    });
  };

  const ask = async (asked: Asked) => {
    requests++;
    promptTokens += asked.promptTokens;
    const router = routers[Math.floor(choice.float() * routers.length)] as Router;
    const began = performance.now();
    const tried = order(router, asked);
    decisionUs.push((performance.now() - began) * 1_000);
    for (const { id } of tried) {
      const worker = byId.get(id);
      if (!worker) continue;
      const ended = router.begin(id);
      try {
        return await serve(worker, asked, ended);
      } catch {
        ended(); // full: the next one
      }
    }
    refused++;
  };

  const workload = new Workload(random);
  const arrive = () => {
    void ask(workload.next());
    const wait = (-Math.log(1 - random.float()) * 60_000) / pool.requestsPerMinute;
    if (now + wait < end) agenda.add(now + wait, arrive);
  };
  agenda.add(0, arrive);

  for (let event = agenda.next(); event; event = agenda.next()) {
    now = event.at;
    event.run();
    await settled();
  }
  return {
    ...{ policy, requests, refused },
    first_token_ms: quantiles(firstTokenMs),
    prefix_hits: round(hitTokens / promptTokens),
    decision_us: quantiles(decisionUs),
  };
}
