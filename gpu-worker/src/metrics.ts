// What this worker tells Prometheus: its engine's counters, read when asked, and what its answers took.

import { FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { EngineStatusResponse } from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import { Counter, Gauge, Histogram, Registry } from "prom-client";

type Read = (status: EngineStatusResponse) => number | bigint | undefined;

const now: readonly [name: string, help: string, read: Read][] = [
  ["requests_running", "Requests that are decoded", ({ load }) => load?.runningRequests],
  ["requests_queued", "Requests that wait for KV or a place", ({ load }) => load?.queuedRequests],
  ["lanes", "Lanes that the next step gives a token", ({ load }) => load?.liveLanes],
  ["kv_blocks", "Blocks of KV", ({ load }) => load?.kvBlocksTotal],
  ["kv_blocks_free", "Blocks that can be had, cached ones too", ({ load }) => load?.kvBlocksFree],
  [
    "kv_blocks_cached",
    "Free blocks that the prefix cache knows",
    ({ counters }) => counters?.kvBlocksCached,
  ],
  [
    "queue_wait_seconds",
    "Estimate for a request that is queued now",
    ({ counters }) => counters?.queueWaitSeconds,
  ],
];

const sums: readonly [name: string, help: string, read: Read][] = [
  ["steps_total", "Forward passes", ({ counters }) => counters?.steps],
  ["decode_tokens_total", "Rows of lanes", ({ counters }) => counters?.decodeRows],
  [
    "prefill_tokens_total",
    "Rows of prompts, and of what was preempted",
    ({ counters }) => counters?.prefillRows,
  ],
  ["decode_steps_total", "Steps without prefill", ({ counters }) => counters?.decodeSteps],
  ["decode_seconds_total", "Time of these", ({ counters }) => counters?.decodeSeconds],
  [
    "prefill_seconds_total",
    "Time of the steps with prefill",
    ({ counters }) => counters?.prefillSeconds,
  ],
  ["read_bytes_total", "Weights and KV that steps read", ({ counters }) => counters?.bytesRead],
  ["preemptions_total", "Requests that lost their KV", ({ counters }) => counters?.preemptions],
  ["prompt_tokens_total", "Of admitted requests", ({ counters }) => counters?.promptTokens],
  [
    "cached_tokens_total",
    "Prompt tokens that the prefix cache had",
    ({ counters }) => counters?.cachedTokens,
  ],
];

const seconds = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60];

export class Metrics {
  readonly #registry = new Registry();
  readonly #status: () => Promise<EngineStatusResponse>;
  readonly #up = this.#gauge("engine_up", "1 while the engine process answers");
  readonly #now = now.map(([name, help, read]) => ({ gauge: this.#gauge(name, help), read }));
  readonly #sums = sums.map(([name, help, read]) => ({ sum: this.#counter(name, help), read }));
  readonly #firstToken = this.#histogram(
    "time_to_first_token_seconds",
    "From the request to its first token",
  );
  readonly #betweenMessages = this.#histogram(
    "inter_token_seconds",
    "Between two messages that brought tokens of one answer",
  );
  readonly #answers: Counter<"end">;

  constructor(model: string, status: () => Promise<EngineStatusResponse>) {
    this.#status = status;
    this.#answers = new Counter({
      name: "anabranch_answers_total",
      help: "Answers by how they ended: stop, length, cancelled, deadline or failed",
      labelNames: ["end"],
      registers: [this.#registry],
    });
    this.#registry.setDefaultLabels({ model });
  }

  /** An answer begins: what it returns is to be told of its steps and its end. */
  begin(): AnswerClock {
    return new AnswerClock(this.#firstToken, this.#betweenMessages, this.#answers);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Prometheus' text format. While the engine restarts, its own figures are those of before. */
  async text(): Promise<string> {
    const status = await this.#status().catch(() => undefined);
    this.#up.set(status ? 1 : 0);
    if (status) {
      for (const { gauge, read } of this.#now) gauge.set(Number(read(status) ?? 0));
      for (const { sum, read } of this.#sums) {
        // Counted by the engine: a new process begins at 0, as Prometheus expects of a restart.
        sum.reset();
        sum.inc(Number(read(status) ?? 0));
      }
    }
    return this.#registry.metrics();
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name: `anabranch_${name}`, help, registers: [this.#registry] });
  }
  #counter(name: string, help: string): Counter {
    return new Counter({ name: `anabranch_${name}`, help, registers: [this.#registry] });
  }
  #histogram(name: string, help: string): Histogram {
    const registers = [this.#registry];
    return new Histogram({ name: `anabranch_${name}`, help, buckets: seconds, registers });
  }
}

const words: Partial<Record<FinishReason, string>> = {
  [FinishReason.STOP]: "stop",
  [FinishReason.LENGTH]: "length",
  [FinishReason.CANCELLED]: "cancelled",
  [FinishReason.DEADLINE]: "deadline",
};

/** One answer's times. */
export class AnswerClock {
  readonly #firstToken: Histogram;
  readonly #betweenMessages: Histogram;
  readonly #answers: Counter<"end">;
  #last = performance.now();
  #begun = false;
  #ended = false;

  constructor(firstToken: Histogram, betweenMessages: Histogram, answers: Counter<"end">) {
    this.#firstToken = firstToken;
    this.#betweenMessages = betweenMessages;
    this.#answers = answers;
  }

  /** A message brought tokens. */
  message(): void {
    const now = performance.now();
    const histogram = this.#begun ? this.#betweenMessages : this.#firstToken;
    histogram.observe((now - this.#last) / 1000);
    this.#last = now;
    this.#begun = true;
  }

  /** The first end told is the one that counts. */
  end(reason: FinishReason | "failed"): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#answers.inc({ end: reason === "failed" ? reason : (words[reason] ?? "failed") });
  }
}
