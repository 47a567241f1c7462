// A worker in simulated time: its queue is the real one, its steps take what a model of them says.
import type { Model, PoolWorker } from "@anabranch/gateway/pool/pool.ts";
import { FairQueue } from "@anabranch/gpu-worker/fair-queue.ts";
import type { Agenda } from "./agenda.ts";
import type { Asked } from "./workload.ts";

/** About a 14B model on one large GPU, and others of which each step takes `slowness` times as long. */
const hardware = {
  running: 32,
  queue: 128,
  stepMs: 25,
  laneMs: 0.1,
  /** Of a prompt's token. */
  prefillMs: 0.1,
  cachedTokens: 400_000,
};
/** A step with tokens of prompts takes at most so many times as long as without them. */
const stretch = 2.5;

export const served: Model = {
  ...{ id: "model", digest: "", backend: "", dialect: "" },
  ...{ contextTokens: 32_768, defaultMaxTokens: 1_024 },
};

interface Prefill {
  left: number;
  done: () => void;
}

interface Answer {
  lanes: number;
  /** The worker's step after which it is whole. */
  lastStep: number;
  done: () => void;
}

export interface Served {
  cachedTokens: number;
  /** When the first token was there. */
  firstAt: number;
}

export class SimulatedWorker {
  readonly row: PoolWorker;
  readonly #agenda: Agenda;
  readonly #queue: FairQueue;
  readonly #slowness: number;
  readonly #prefills: Prefill[] = [];
  readonly #answers = new Set<Answer>();
  #lanes = 0;
  /** Steps since the beginning, and when they were counted. */
  #steps = 0;
  #countedAt = 0;
  #plans = 0;
  /** By conversation, the least recently used first. */
  readonly #cached = new Map<number, number>();
  #cachedTokens = 0;

  constructor(index: number, slowness: number, agenda: Agenda) {
    this.#agenda = agenda;
    this.#slowness = slowness;
    this.#queue = new FairQueue(hardware.running, hardware.queue, () => agenda.now);
    this.row = {
      ...{ id: `worker-${index}`, url: "", credential: "", draining: false, healthy: true },
      ...{ registeredAt: 0, seenAt: 0, load: this.#load() },
      models: [served],
    };
  }

  report(): void {
    this.row.load = this.#load();
    this.row.seenAt = this.#agenda.now;
  }

  /** Resolves when the answer is whole. @throws if the queue is full */
  async serve(asked: Asked): Promise<Served> {
    const claim = { tenant: asked.tenant, key: "", weight: 1, priority: 0, size: 1 };
    const leave = await this.#queue.enter(claim, new AbortController().signal);
    const cachedTokens = this.#take(asked);
    await new Promise<void>((done) => {
      this.#change(() => this.#prefills.push({ left: asked.promptTokens - cachedTokens, done }));
    });
    const firstAt = this.#agenda.now + this.#stepMs(this.#lanes + asked.lanes);
    await new Promise<void>((done) => {
      const { lanes } = asked;
      this.#change(() => {
        this.#answers.add({ lanes, lastStep: this.#steps + asked.outputTokens / lanes, done });
        this.#lanes += lanes;
      });
    });
    leave();
    return { cachedTokens, firstAt };
  }

  #stepMs(lanes: number): number {
    return this.#slowness * (hardware.stepMs + hardware.laneMs * lanes);
  }

  /** How many steps, and tokens of prompts, a ms has now. */
  #rates(): { steps: number; prefill: number } {
    const alone = this.#stepMs(this.#lanes);
    const prefillMs = this.#slowness * hardware.prefillMs;
    if (this.#prefills.length === 0) return { steps: 1 / alone, prefill: 0 };
    if (this.#lanes === 0) return { steps: 0, prefill: 1 / prefillMs };
    return { steps: 1 / (stretch * alone), prefill: (1 - 1 / stretch) / prefillMs };
  }

  /** Counts what was computed until now, then lets `change` happen. */
  #change(change: () => void): void {
    const { now } = this.#agenda;
    const rates = this.#rates();
    const passed = now - this.#countedAt;
    this.#countedAt = now;
    this.#steps += passed * rates.steps;
    const [first] = this.#prefills;
    if (first) first.left -= passed * rates.prefill;
    change();
    this.#plan();
  }

  /** What ends next. */
  #plan(): void {
    const plan = ++this.#plans;
    const { steps, prefill } = this.#rates();
    const [first] = this.#prefills;
    let wait = first ? Math.max(0, first.left / prefill) : Infinity;
    let last: Answer | undefined;
    for (const answer of this.#answers) {
      const ms = steps === 0 ? Infinity : Math.max(0, (answer.lastStep - this.#steps) / steps);
      if (ms >= wait) continue;
      wait = ms;
      last = answer;
    }
    if (wait === Infinity) return;
    this.#agenda.add(this.#agenda.now + wait, () => {
      if (plan !== this.#plans) return;
      this.#change(() => {
        if (last) {
          this.#answers.delete(last);
          this.#lanes -= last.lanes;
        } else this.#prefills.shift();
      });
      (last ?? first)?.done();
    });
  }

  /** Tokens of the prompt that need not be computed. */
  #take({ id, promptTokens }: Asked): number {
    const known = this.#cached.get(id) ?? 0;
    this.#cached.delete(id);
    this.#cached.set(id, promptTokens);
    this.#cachedTokens += promptTokens - known;
    for (const [oldest, tokens] of this.#cached) {
      if (this.#cachedTokens <= hardware.cachedTokens) break;
      this.#cached.delete(oldest);
      this.#cachedTokens -= tokens;
    }
    return Math.min(known, promptTokens);
  }

  #load(): PoolWorker["load"] {
    return {
      runningRequests: this.#answers.size + this.#prefills.length,
      queuedRequests: this.#queue.waiting,
      liveLanes: this.#lanes,
      ...{ kvBlocksFree: 1, kvBlocksTotal: 1 },
      prefillTokens: this.#prefills.reduce((sum, { left }) => sum + left, 0),
      contextTokens: 0,
      stepCosts: {
        stepMs: this.#slowness * hardware.stepMs,
        laneMs: this.#slowness * hardware.laneMs,
        prefillMs: this.#slowness * hardware.prefillMs,
        contextMs: 0,
      },
      maxRunning: hardware.running,
      msBetweenEnds: this.#queue.msBetweenEnds,
    };
  }
}
