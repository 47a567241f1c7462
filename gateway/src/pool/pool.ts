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
  /** Of a LoRA adapter: the model that it changes. */
  base?: string;
  /** For what a request leaves open; absent: neutral. */
  samplingDefaults?: SamplingDefaults;
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
};

export interface PoolView {
  workers: PoolWorker[];
  /** By model: when the pool first had it, ms since the epoch. */
  since: Record<string, number>;
}
