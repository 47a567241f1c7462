// When a worker is expected to have the first tokens of a request, from what it reports of its steps and its queue. How long
// the answer will be is left out: in simulations, even knowing it changed nothing (docs/measurements/pool.md).
import { idle, type PoolWorker, type StepCosts } from "../pool/pool.ts";

/** What a request needs to begin. */
export interface Needs {
  promptTokens: number;
  /** Of the engine: one, or one for each declared branch. */
  requests: number;
}

/** What has changed since a worker's report, by what was sent to it. */
export interface Since {
  /** How old the report is. */
  ms: number;
  /** Requests that were sent, less those that ended. */
  requests: number;
  /** Prompts that were sent, in that order, and how long ago. */
  prompts: readonly { tokens: number; ms: number }[];
}

/** Of a worker where none has measured its own. */
const usual: StepCosts = { stepMs: 25, laneMs: 0.25, prefillMs: 0.25, contextMs: 0 };
/** Of an answer. */
const usualSteps = 200;
/** Of those, the ones that count: with all of them, workers that have the prompt are left for what one lane less saves. */
const firstSteps = 5;
/** Workers bound a step with tokens of prompts to so many times what it takes without them. */
const stretch = 2.5;

/**
 * ms until the first tokens of a request. `cached` tokens of its prompt need not be computed. An upstream reports nothing:
 * what was sent to it is all that counts. `assumed` are the costs of a worker that has not measured its own.
 */
export function expectedTime(
  { load: reported, upstream }: Pick<PoolWorker, "load" | "upstream">,
  since: Since,
  { promptTokens, requests }: Needs,
  cached: number,
  assumed: StepCosts = usual,
): number {
  const load = upstream ? { ...idle, maxRunning: upstream.maxRequests } : reported;
  const costs = load.stepCosts ?? assumed;
  // A request whose prompt is computed has no lane yet.
  const lanes = Math.max(0, Math.max(load.liveLanes, load.runningRequests) + since.requests);
  const context = (load.contextTokens + promptTokens) / 1_000;
  const step = costs.stepMs + costs.laneMs * (lanes + requests) + costs.contextMs * context;
  // Beside decoding, prompts have a part of each step.
  const prefillMs = costs.prefillMs / (lanes > 0 ? 1 - 1 / stretch : 1);
  const prompts = promptsWait(load.prefillTokens, since, prefillMs);
  const own = Math.max(0, promptTokens - cached) * prefillMs;
  return queueWait() + prompts + own + firstSteps * step + kvWait();

  function queueWait(): number {
    const { runningRequests, queuedRequests, maxRunning, msBetweenEnds } = load;
    if (maxRunning === null) return 0;
    const before = runningRequests + queuedRequests + since.requests + requests - maxRunning;
    return Math.max(0, before) * (msBetweenEnds ?? (usualSteps * step) / maxRunning);
  }

  /** Without KV it waits for the end of an answer. */
  function kvWait(): number {
    const { kvBlocksFree, kvBlocksTotal } = load;
    const filled = kvBlocksTotal > 0 ? 1 - kvBlocksFree / kvBlocksTotal : 0;
    return filled ** 4 * usualSteps * step;
  }
}

/** ms until the prompts that are there are computed: `reported` tokens, and those sent since. */
function promptsWait(reported: number, { prompts, ms }: Since, prefillMs: number): number {
  let wait = reported * prefillMs;
  let at = ms;
  for (const each of prompts) {
    wait = Math.max(0, wait - (at - each.ms)) + each.tokens * prefillMs;
    at = each.ms;
  }
  return Math.max(0, wait - at);
}
