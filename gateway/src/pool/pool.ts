// The pool as plain values.
import type { SamplingDefaults } from "@anabranch/shared/sampling-defaults.ts";
import type { UpstreamFacts } from "../upstreams/upstream.ts";

export interface Model {
  id: string;
  digest: string;
  backend: string;
  /** Empty: the model does not branch. */
  dialect: string;
  contextTokens: number;
  defaultMaxTokens: number;
  /** The classifier's probability from which on `auto` is parallel; absent: the gateway's own. */
  autoThreshold?: number;
  /** Of a LoRA adapter: the model that it changes. */
  base?: string;
  /** For what a request leaves open; absent: neutral. */
  samplingDefaults?: SamplingDefaults;
}

/** What parts of a worker's step take, in ms. */
export interface StepCosts {
  /** Whatever it computes. */
  stepMs: number;
  /** More for each lane. */
  laneMs: number;
  /** More for each token of a prompt. */
  prefillMs: number;
  /** More for each thousand tokens of context that lanes read. */
  contextMs: number;
}

export interface WorkerLoad {
  runningRequests: number;
  queuedRequests: number;
  liveLanes: number;
  kvBlocksFree: number;
  kvBlocksTotal: number;
  /** Of prompts, to be computed before the next prompt is. */
  prefillTokens: number;
  /** That a step reads. */
  contextTokens: number;
  /** null: not measured. */
  stepCosts: StepCosts | null;
  /** Requests that run at once; null: not known. */
  maxRunning: number | null;
  /** Of requests, while others wait; null: not measured. */
  msBetweenEnds: number | null;
}

export interface PoolWorker {
  id: string;
  url: string;
  credential: string;
  models: Model[];
  load: WorkerLoad;
  draining: boolean;
  /** Heard from recently. */
  healthy: boolean;
  /** ms since the epoch. */
  registeredAt: number;
  seenAt: number;
  /** Of a server that speaks OpenAI's API instead of our protocol. */
  upstream?: UpstreamFacts;
}

export const idle: WorkerLoad = {
  runningRequests: 0,
  queuedRequests: 0,
  liveLanes: 0,
  kvBlocksFree: 0,
  kvBlocksTotal: 0,
  prefillTokens: 0,
  contextTokens: 0,
  stepCosts: null,
  maxRunning: null,
  msBetweenEnds: null,
};

export interface PoolView {
  workers: PoolWorker[];
  /** By model: when the pool first had it, ms since the epoch. */
  since: Record<string, number>;
}
