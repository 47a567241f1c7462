// A pool of workers in simulated time, fed by the gateway's router and each worker's queue as they are.
import type { PoolWorker } from "@anabranch/gateway/pool/pool.ts";
import { beginningOf, type Coming, Router } from "@anabranch/gateway/routing/router.ts";
import { Random } from "@anabranch/training/random.ts";
import { type Quantiles, quantiles } from "../quantiles.ts";
import { round } from "../report.ts";
import { Agenda } from "./agenda.ts";
import { SimulatedWorker, served } from "./simulated-worker.ts";
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
  /** Share of the workers that take twice as long for each step. */
  slow: number;
}

export interface PolicyFigures {
  policy: Policy;
  requests: number;
  refused: number;
  /** From the request to its first token. */
  first_token_ms: Quantiles;
  /** From the request to its end. */
  answer_ms: Quantiles;
  /** Prompt tokens that a worker had in its prefix cache, of all. */
  prefix_hits: number;
  decision_us: Quantiles;
}

const reportMs = 1_000;

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** One policy over the same requests as every other one. */
export async function simulate(policy: Policy, pool: Pool): Promise<PolicyFigures> {
  const random = new Random(1);
  const choice = new Random(2);
  const kind = new Random(3);
  const agenda = new Agenda();
  const workers = Array.from({ length: pool.workers }, (_, index) => {
    return new SimulatedWorker(index, kind.chance(pool.slow) ? 2 : 1, agenda);
  });
  const byId = new Map(workers.map((worker) => [worker.row.id, worker]));
  const view = { workers: workers.map(({ row }) => row) };
  const clock = () => agenda.now;
  const routers = Array.from({ length: pool.gateways }, () => new Router(clock));
  const end = pool.seconds * 1_000;
  let turn = 0;

  const report = (worker: SimulatedWorker) => {
    worker.report();
    if (agenda.now < end) agenda.add(agenda.now + reportMs, () => report(worker));
  };
  for (const [index, worker] of workers.entries()) {
    agenda.add((index / pool.workers) * reportMs, () => report(worker));
  }

  const firstTokenMs: number[] = [];
  const answerMs: number[] = [];
  const decisionUs: number[] = [];
  let [requests, refused, promptTokens, hitTokens] = [0, 0, 0, 0];

  const comingOf = ({ tenant, id, promptTokens, earlierTokens }: Asked): Coming => {
    const beginning = policy === "no-prefix" ? null : beginningOf(tenant, String(id));
    return { promptTokens, earlierTokens, requests: 1, beginning };
  };
  const order = (router: Router, coming: Coming): PoolWorker[] => {
    const anywhere = () => view.workers[Math.floor(choice.float() * workers.length)] as PoolWorker;
    switch (policy) {
      case "random":
        return [anywhere(), anywhere()];
      case "round-robin": {
        const next = turn++;
        return [0, 1].map((i) => view.workers[(next + i) % workers.length] as PoolWorker);
      }
      case "least-loaded": {
        const busy = ({ load }: PoolWorker) => load.runningRequests + load.queuedRequests;
        return [...view.workers].sort((a, b) => busy(a) - busy(b));
      }
      default:
        return router.candidates(view, served.id, coming);
    }
  };

  const ask = async (asked: Asked) => {
    requests++;
    promptTokens += asked.promptTokens;
    const router = routers[Math.floor(choice.float() * routers.length)] as Router;
    const arrived = agenda.now;
    const coming = comingOf(asked);
    const began = performance.now();
    const tried = order(router, coming);
    decisionUs.push((performance.now() - began) * 1_000);
    for (const { id } of tried) {
      const worker = byId.get(id);
      if (!worker) continue;
      const ended = router.begin(id, coming);
      try {
        const { cachedTokens, firstAt } = await worker.serve(asked);
        hitTokens += cachedTokens;
        firstTokenMs.push(firstAt - arrived);
        answerMs.push(agenda.now - arrived);
        return;
      } catch {
        // Full: the next one.
      } finally {
        ended();
      }
    }
    refused++;
  };

  const workload = new Workload(random);
  const arrive = () => {
    void ask(workload.next());
    const wait = (-Math.log(1 - random.float()) * 60_000) / pool.requestsPerMinute;
    if (agenda.now + wait < end) agenda.add(agenda.now + wait, arrive);
  };
  agenda.add(0, arrive);

  while (agenda.step()) await settled();
  return {
    ...{ policy, requests, refused },
    first_token_ms: quantiles(firstTokenMs),
    answer_ms: quantiles(answerMs),
    prefix_hits: round(hitTokens / promptTokens),
    decision_us: quantiles(decisionUs),
  };
}
