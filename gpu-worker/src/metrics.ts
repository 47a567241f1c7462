// The worker's Prometheus metrics: the engine's counters, read on every scrape, and the times of answers.

import {
  FinishReason,
  OutlineEnd,
  PlanDrop,
} from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { EngineStatusResponse } from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import type { Finished } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { Counter, Gauge, Histogram, Registry } from "prom-client";

type Read = (status: EngineStatusResponse) => number | bigint | undefined;

const gauges: readonly [name: string, help: string, read: Read][] = [
  ["requests_running", "Requests admitted and not finished", ({ load }) => load?.runningRequests],
  ["requests_queued", "Requests waiting for admission", ({ load }) => load?.queuedRequests],
  ["lanes", "Lanes that the next step extends by a token", ({ load }) => load?.liveLanes],
  ["kv_blocks", "KV cache blocks", ({ load }) => load?.kvBlocksTotal],
  [
    "kv_blocks_free",
    "KV cache blocks free for allocation, including those the prefix cache can evict",
    ({ load }) => load?.kvBlocksFree,
  ],
  [
    "kv_blocks_cached",
    "Free KV cache blocks that the prefix cache can still serve",
    ({ counters }) => counters?.kvBlocksCached,
  ],
  [
    "queue_wait_seconds",
    "Estimated wait of a request queued now",
    ({ counters }) => counters?.queueWaitSeconds,
  ],
];

const counters: readonly [name: string, help: string, read: Read][] = [
  ["steps_total", "Forward passes of the model", ({ counters }) => counters?.steps],
  ["decode_tokens_total", "Tokens decoded, over all lanes", ({ counters }) => counters?.decodeRows],
  [
    "prefill_tokens_total",
    "Tokens prefilled, including those recomputed after preemption",
    ({ counters }) => counters?.prefillRows,
  ],
  ["decode_steps_total", "Steps without prefill tokens", ({ counters }) => counters?.decodeSteps],
  [
    "decode_seconds_total",
    "Time of steps without prefill tokens",
    ({ counters }) => counters?.decodeSeconds,
  ],
  [
    "prefill_seconds_total",
    "Time of steps with prefill tokens",
    ({ counters }) => counters?.prefillSeconds,
  ],
  [
    "read_bytes_total",
    "Bytes of weights and KV read by all steps",
    ({ counters }) => counters?.bytesRead,
  ],
  [
    "held_lanes_total",
    "Lanes that waited while others of their answer decoded, summed over steps",
    ({ counters }) => counters?.heldLanes,
  ],
  [
    "predicted_seconds_total",
    "Time of steps as predicted before each",
    ({ counters }) => counters?.predictedSeconds,
  ],
  [
    "misprediction_seconds_total",
    "By how much the times of steps differed from the predicted ones",
    ({ counters }) => counters?.mispredictionSeconds,
  ],
  [
    "scheduling_seconds_total",
    "Time of steps outside of the forward pass and sampling",
    ({ counters }) => counters?.schedulingSeconds,
  ],
  [
    "preemptions_total",
    "Requests preempted because KV cache blocks ran out",
    ({ counters }) => counters?.preemptions,
  ],
  [
    "prompt_tokens_total",
    "Prompt tokens of admitted requests",
    ({ counters }) => counters?.promptTokens,
  ],
  [
    "cached_tokens_total",
    "Prompt tokens served by the prefix cache",
    ({ counters }) => counters?.cachedTokens,
  ],
];

const seconds = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60];

export class Metrics {
  readonly #registry = new Registry();
  readonly #status: () => Promise<EngineStatusResponse>;
  readonly #up = this.#gauge("engine_up", "1 while the engine process responds, else 0");
  readonly #gauges = gauges.map(([name, help, read]) => ({ gauge: this.#gauge(name, help), read }));
  readonly #counters = counters.map(([name, help, read]) => ({
    counter: this.#counter(name, help),
    read,
  }));
  readonly #firstToken = this.#histogram(
    "time_to_first_token_seconds",
    "Time from the request to its first token",
  );
  readonly #betweenMessages = this.#histogram(
    "inter_token_seconds",
    "Time between two messages that carry tokens of the same answer",
  );
  readonly #answers: Counter<"end">;
  readonly #plans: Counter<"end">;
  readonly #outlines: Counter<"end">;

  constructor(model: string, status: () => Promise<EngineStatusResponse>) {
    this.#status = status;
    this.#answers = new Counter({
      name: "anabranch_answers_total",
      help: "Finished answers by end: stop, length, cancelled, deadline or failed",
      labelNames: ["end"],
      registers: [this.#registry],
    });
    this.#plans = new Counter({
      name: "anabranch_plans_total",
      help: "Plans of finished answers by end: forked, or dropped because of few_titles, a long_title or no_room",
      labelNames: ["end"],
      registers: [this.#registry],
    });
    this.#outlines = new Counter({
      name: "anabranch_outlines_total",
      help: "Outlines of finished answers by end: joined, list_ended, body_differs, no_room, no_stage or unfinished",
      labelNames: ["end"],
      registers: [this.#registry],
    });
    this.#registry.setDefaultLabels({ model });
  }

  /** Starts the clock of an answer. */
  begin(): AnswerClock {
    return new AnswerClock(
      this.#firstToken,
      this.#betweenMessages,
      this.#answers,
      this.#plans,
      this.#outlines,
    );
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Prometheus' text format. While the engine restarts, its figures stay as they were. */
  async text(): Promise<string> {
    const status = await this.#status().catch(() => undefined);
    this.#up.set(status ? 1 : 0);
    if (status) {
      for (const { gauge, read } of this.#gauges) gauge.set(Number(read(status) ?? 0));
      for (const { counter, read } of this.#counters) {
        // The engine counts. A new engine process starts at 0, which Prometheus takes as a counter reset.
        counter.reset();
        counter.inc(Number(read(status) ?? 0));
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

const planDrops: Partial<Record<PlanDrop, string>> = {
  [PlanDrop.FEW_TITLES]: "few_titles",
  [PlanDrop.LONG_TITLE]: "long_title",
  [PlanDrop.NO_ROOM]: "no_room",
};

const outlineEnds: Partial<Record<OutlineEnd, string>> = {
  [OutlineEnd.JOINED]: "joined",
  [OutlineEnd.LIST_ENDED]: "list_ended",
  [OutlineEnd.BODY_DIFFERS]: "body_differs",
  [OutlineEnd.NO_ROOM]: "no_room",
  [OutlineEnd.NO_STAGE]: "no_stage",
  [OutlineEnd.UNFINISHED]: "unfinished",
};

/** Measures the times of one answer. */
export class AnswerClock {
  readonly #firstToken: Histogram;
  readonly #betweenMessages: Histogram;
  readonly #answers: Counter<"end">;
  readonly #plans: Counter<"end">;
  readonly #outlines: Counter<"end">;
  #last = performance.now();
  #begun = false;
  #ended = false;

  constructor(
    firstToken: Histogram,
    betweenMessages: Histogram,
    answers: Counter<"end">,
    plans: Counter<"end">,
    outlines: Counter<"end">,
  ) {
    this.#firstToken = firstToken;
    this.#betweenMessages = betweenMessages;
    this.#answers = answers;
    this.#plans = plans;
    this.#outlines = outlines;
  }

  /** A message with tokens has arrived. */
  message(): void {
    const now = performance.now();
    const histogram = this.#begun ? this.#betweenMessages : this.#firstToken;
    histogram.observe((now - this.#last) / 1000);
    this.#last = now;
    this.#begun = true;
  }

  /** The engine has ended the answer; its usage says what became of its plans and outlines. */
  finish({ reason, usage }: Finished): void {
    this.end(reason);
    if (!usage) return;
    if (usage.stages > 0) this.#plans.inc({ end: "forked" }, usage.stages);
    const dropped = planDrops[usage.droppedPlan];
    if (dropped !== undefined) this.#plans.inc({ end: dropped });
    for (const each of usage.outlineEnds) {
      this.#outlines.inc({ end: outlineEnds[each] ?? "unknown" });
    }
  }

  /** Only the first call counts. */
  end(reason: FinishReason | "failed"): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#answers.inc({ end: reason === "failed" ? reason : (words[reason] ?? "failed") });
  }
}
