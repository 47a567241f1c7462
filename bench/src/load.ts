// npm run bench -- load: the latency that clients of a busy engine see.
import { availableParallelism } from "node:os";
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import { type Dtype, dtypes, type EngineEvent } from "@anabranch/native";
import { decimal, integer, integers, oneOf } from "@anabranch/shared/cli/options.ts";
import { Random } from "@anabranch/training/random.ts";
import { EngineClient } from "./engine-client.ts";
import { type GoodputFigures, goodputTable, measureGoodput } from "./goodput.ts";
import { kvTokens, type Request, randomRequest } from "./load-requests.ts";
import { type Quantiles, quantiles } from "./quantiles.ts";
import { randomCheckpoint } from "./random-checkpoint.ts";
import { columns, type Machine, round, say, thisMachine } from "./report.ts";
import { fixedPrompt, kvBytesPerToken, type Shape, shapeNames, shapeOf } from "./shapes.ts";
import { defineSubject } from "./subject.ts";

const help = `npm run bench -- load [options]

Serves random weights in the shape of a known model. The structure of each answer is scripted: a
prompt of 64 to 512 tokens, serial text, and in three of five answers a stage of 2 to 6 branches. A
seed decides all sizes.

1. Closed loop: each client has one request at a time. ttft is the time from submission to the first
   token. itl is the time between two steps with tokens of one answer, as JavaScript receives them.
2. Streams alone, then the same streams while a long prompt is prefilled: itl in both cases, and the
   p99 beside the prompt over the p50 alone (the project requires at most 3).
3. Delay of timers on Node's event loop with an idle engine, a busy engine, and a busy engine while
   JavaScript computes half of the time; and the time of an engine step meanwhile.
4. Goodput of branch schedules: requests arrive at random, and each meets a limit or does not: on its time
   per token, from its first to its last, in multiples of that of one serial stream alone. Goodput is the
   tokens of requests that met it, a second. All schedules get the same requests at the same times; slack
   knows the limit. The defaults are a trial. A measurement:
   --parts goodput --loads 0.25,0.5,1,2,4,8 --arrivals 100 --answer-scale 1 --rounds 2

  --parts LIST     which of loops, prompt, delay and goodput (default: all)
  --shape NAME     ${shapeNames.join(", ")} (default qwen2.5-0.5b)
  --dtype TYPE     ${dtypes.join(", ")} (default bf16)
  --clients LIST   numbers of concurrent clients (default 1,4,16,64)
  --requests N     requests per client (default 2)
  --streams N      streams of part 2 (default 4)
  --prompt N       tokens of the long prompt (default 4000)
  --loads LIST     of part 4: arrivals in the time that the mean request takes alone (default 1,4)
  --arrivals N     of part 4: requests of each run (default 6)
  --rounds N       of part 4: rounds, each of other requests (default 1)
  --limits LIST    of part 4: limits in quiet times per token (default 1.5,2,3)
  --cap N          of part 4: lanes of an answer in the schedule cap (default 2)
  --answer-scale X of part 4: lengths of prompts and answers, 1 as in part 1 (default 0.15)
  --threads N      engine threads (default: all cores but one, as in a worker)
  --seed N         decides all sizes (default 1)
  --json           print one JSON value to stdout
`;

interface ClosedLoop {
  clients: number;
  requests: number;
  seconds: number;
  prompt_tokens: number;
  completion_tokens: number;
  tokens_s: number;
  ttft_ms: Quantiles;
  itl_ms: Quantiles;
  preemptions: number;
}

/** Streams alone, and beside the prefill of a long prompt. */
interface LongPromptFigures {
  streams: number;
  prompt_tokens: number;
  quiet_ms: Quantiles;
  beside_ms: Quantiles;
  p99_over_quiet_p50: number;
  prompt_ttft_ms: number;
}

interface LoopDelay {
  delay_ms: Quantiles;
  step_ms: number | null;
}

/** What the command prints with --json. */
export interface LoadFigures {
  machine: Machine;
  model: { shape: string; dtype: string; backend: string };
  closed_loop?: ClosedLoop[];
  long_prompt?: LongPromptFigures;
  event_loop?: { idle: LoopDelay; engine_busy: LoopDelay; both_busy: LoopDelay };
  goodput?: GoodputFigures;
}

const parts = ["loops", "prompt", "delay", "goodput"] as const;
type Part = (typeof parts)[number];

/** When the steps of one answer brought tokens, in milliseconds. */
class TokenTimes {
  readonly submitted = performance.now();
  readonly steps: number[] = [];
  readonly record = (events: readonly EngineEvent[]): void => {
    if (events.some(({ kind }) => kind === "token")) this.steps.push(performance.now());
  };
  /** Time to the first token. */
  get first(): number {
    return (this.steps[0] ?? Number.NaN) - this.submitted;
  }
  /** Times between two steps of which the second is in [from, to]. */
  intervals(from = 0, to = Number.POSITIVE_INFINITY): number[] {
    return this.steps.flatMap((at, i) => {
      const before = this.steps[i - 1];
      return before === undefined || at < from || at > to ? [] : [at - before];
    });
  }
}

async function closedLoop(
  client: EngineClient,
  requests: readonly Request[],
  clients: number,
): Promise<ClosedLoop> {
  const queue = requests.values();
  const times: TokenTimes[] = [];
  let prompts = 0;
  let completions = 0;
  const before = client.engine.load().preemptions;
  const began = performance.now();
  const runClient = async () => {
    for (const request of queue) {
      const own = new TokenTimes();
      times.push(own);
      const { usage } = await client.submit(request, own.record).finished;
      prompts += usage.promptTokens;
      completions += usage.completionTokens;
    }
  };
  await Promise.all(Array.from({ length: clients }, runClient));
  const seconds = (performance.now() - began) / 1000;
  return {
    clients,
    requests: requests.length,
    seconds: round(seconds),
    prompt_tokens: prompts,
    completion_tokens: completions,
    tokens_s: round(completions / seconds),
    ttft_ms: quantiles(times.map(({ first }) => first)),
    itl_ms: quantiles(times.flatMap((each) => each.intervals())),
    preemptions: client.engine.load().preemptions - before,
  };
}

/** `streams` answers of `length` tokens, running until they are stopped. */
class BackgroundStreams {
  readonly #client: EngineClient;
  readonly #running: { id: number; finished: Promise<unknown> }[];
  readonly #times: TokenTimes[];
  #ended = false;

  constructor(client: EngineClient, streams: number, length: number, vocabulary: number) {
    this.#client = client;
    const random = new Random(7);
    const tokens = (n: number) => Array.from({ length: n }, () => random.int(0, vocabulary - 1));
    this.#times = Array.from({ length: streams }, () => new TokenTimes());
    this.#running = this.#times.map(({ record }) => {
      const prompt = tokens(64);
      const script = [{ serial: [...prompt, ...tokens(length)] }];
      const submitted = client.submit({ prompt, script }, record);
      submitted.finished.then(
        () => {
          this.#ended = true;
        },
        () => {},
      );
      return submitted;
    });
  }

  /**
   * Waits until each stream has had `count` more steps.
   * @throws Error if a stream ends before that, which happens with shapes that are too fast
   */
  async advance(count: number): Promise<void> {
    const goals = this.#times.map(({ steps }) => steps.length + count);
    while (this.#times.some(({ steps }, i) => steps.length < (goals[i] ?? 0))) {
      if (this.#ended) throw new Error("the streams ended too early: take a larger shape");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  intervals(from: number, to: number): number[] {
    return this.#times.flatMap((each) => each.intervals(from, to));
  }
  async stop(): Promise<void> {
    for (const { id } of this.#running) this.#client.engine.cancel(id);
    await Promise.all(this.#running.map(({ finished }) => finished));
  }
}

const quietSteps = 64;

/** Tokens of a stream that outlasts a prompt, during whose prefill it gets at most a token per row. */
const streamLength = (prompt: number) => quietSteps + prompt + 64;

async function measureLongPrompt(
  client: EngineClient,
  { streams, prompt: length, shape }: Settings,
): Promise<LongPromptFigures> {
  const running = new BackgroundStreams(client, streams, streamLength(length), shape.vocab_size);
  await running.advance(4);
  const quietFrom = performance.now();
  await running.advance(quietSteps);
  const prompt = fixedPrompt(length, shape.vocab_size);
  const own = new TokenTimes();
  await client.submit({ prompt, script: [{ serial: [...prompt, 1] }] }, own.record).finished;
  const done = performance.now();
  await running.stop();
  const quiet = quantiles(running.intervals(quietFrom, own.submitted));
  const beside = quantiles(running.intervals(own.submitted, done));
  return {
    streams,
    prompt_tokens: length,
    quiet_ms: quiet,
    beside_ms: beside,
    p99_over_quiet_p50: round(beside.p99 / quiet.p50),
    prompt_ttft_ms: round(own.first),
  };
}

/** The delay of Node's timers during `work`. */
async function loopDelay(client: EngineClient, work: () => Promise<void>): Promise<LoopDelay> {
  const resolution = 1;
  const histogram: IntervalHistogram = monitorEventLoopDelay({ resolution });
  const before = client.engine.load();
  histogram.enable();
  await work();
  histogram.disable();
  const after = client.engine.load();
  const steps = after.decodeSteps - before.decodeSteps;
  const delay = (percent: number) =>
    round(Math.max(0, histogram.percentile(percent) / 1e6 - resolution));
  return {
    delay_ms: { p50: delay(50), p99: delay(99) },
    step_ms: steps > 0 ? round(((after.decodeSeconds - before.decodeSeconds) / steps) * 1e3) : null,
  };
}

/** Keeps JavaScript busy for half of the time, 4 ms at once. Returns a function that stops it. */
function startComputing(): () => void {
  const timer = setInterval(() => {
    for (const until = performance.now() + 4; performance.now() < until; );
  }, 8);
  return () => clearInterval(timer);
}

async function measureEventLoop(
  client: EngineClient,
  { streams, shape }: Settings,
): Promise<NonNullable<LoadFigures["event_loop"]>> {
  const idle = await loopDelay(
    client,
    () => new Promise<void>((resolve) => setTimeout(resolve, 2000)),
  );
  const running = new BackgroundStreams(client, streams, 2 * quietSteps + 64, shape.vocab_size);
  await running.advance(4);
  const engine_busy = await loopDelay(client, () => running.advance(quietSteps));
  const stopComputing = startComputing();
  const both_busy = await loopDelay(client, () => running.advance(quietSteps));
  stopComputing();
  await running.stop();
  return { idle, engine_busy, both_busy };
}

interface Settings {
  shapeName: string;
  shape: Shape;
  dtype: Dtype;
  clients: number[];
  requestsPerClient: number;
  streams: number;
  /** Tokens of the long prompt. */
  prompt: number;
  threads: number;
  seed: number;
  parts: Part[];
  loads: number[];
  arrivals: number;
  rounds: number;
  limits: number[];
  cap: number;
  answerScale: number;
}

export const subject = defineSubject({
  help,
  options: {
    shape: { type: "string", default: "qwen2.5-0.5b" },
    dtype: { type: "string", default: "bf16" },
    clients: { type: "string", default: "1,4,16,64" },
    requests: { type: "string", default: "2" },
    streams: { type: "string", default: "4" },
    prompt: { type: "string", default: "4000" },
    parts: { type: "string", default: parts.join(",") },
    loads: { type: "string", default: "1,4" },
    arrivals: { type: "string", default: "6" },
    rounds: { type: "string", default: "1" },
    limits: { type: "string", default: "1.5,2,3" },
    cap: { type: "string", default: "2" },
    "answer-scale": { type: "string", default: "0.15" },
    threads: { type: "string", default: String(Math.max(1, availableParallelism() - 1)) },
    seed: { type: "string", default: "1" },
  },
  async measure(values) {
    const shape = shapeOf(values.shape);
    return await measureLoad({
      shapeName: values.shape,
      shape,
      dtype: oneOf("dtype", values.dtype, dtypes),
      clients: integers("clients", values.clients, 1, 4096),
      requestsPerClient: integer("requests", values.requests, 1, 10_000),
      streams: integer("streams", values.streams, 1, 64),
      prompt: integer("prompt", values.prompt, 1, shape.max_position_embeddings - 1),
      threads: integer("threads", values.threads, 1, 1024),
      seed: integer("seed", values.seed, 0, 2 ** 32 - 1),
      parts: values.parts.split(",").map((part) => oneOf("parts", part, parts)),
      loads: values.loads.split(",").map((load) => decimal("loads", load, 0.001, 1000)),
      arrivals: integer("arrivals", values.arrivals, 1, 100_000),
      rounds: integer("rounds", values.rounds, 1, 100),
      limits: values.limits.split(",").map((limit) => decimal("limits", limit, 1, 1000)),
      cap: integer("cap", values.cap, 1, 999),
      answerScale: decimal("answer-scale", values["answer-scale"], 0.05, 10),
    });
  },
  table,
});

async function measureLoad(settings: Settings): Promise<LoadFigures> {
  const { parts, shapeName, dtype, threads } = settings;
  const figures: LoadFigures = {
    machine: thisMachine(threads),
    model: { shape: shapeName, dtype, backend: "" },
  };
  if (parts.some((part) => part !== "goodput")) {
    const client = openClient(settings);
    try {
      await measureOneEngine(client, settings, figures);
    } finally {
      client.engine.close();
    }
  }
  if (parts.includes("goodput")) {
    figures.goodput = await measureGoodput(settings);
    figures.model.backend = figures.goodput.backend;
  }
  return figures;
}

/** Parts 1 to 3. */
async function measureOneEngine(
  client: EngineClient,
  settings: Settings,
  figures: LoadFigures,
): Promise<void> {
  const { parts, streams, prompt } = settings;
  figures.model.backend = client.engine.info().backend;
  say(`serving on ${figures.model.backend}`);
  if (parts.includes("loops")) {
    figures.closed_loop = [];
    for (const count of settings.clients) {
      const loop = await closedLoop(client, requestsOf(settings, count), count);
      say(`  ${count} clients: ${loop.tokens_s.toFixed(1)} tokens/s`);
      figures.closed_loop.push(loop);
    }
  }
  if (parts.includes("prompt")) {
    say(`prefilling ${prompt} tokens beside ${streams} streams`);
    figures.long_prompt = await measureLongPrompt(client, settings);
  }
  if (parts.includes("delay")) {
    say("watching the event loop");
    figures.event_loop = await measureEventLoop(client, settings);
  }
}

/** The requests of `clients` clients; those of fewer clients are the first of them. */
function requestsOf({ seed, requestsPerClient, shape }: Settings, clients: number): Request[] {
  const random = new Random(seed);
  const length = clients * requestsPerClient;
  return Array.from({ length }, () => randomRequest(random, shape.vocab_size));
}

/** An engine with KV for the 64 largest requests at once, and for the streams beside the prompt. */
function openClient(settings: Settings): EngineClient {
  const { shapeName, shape, dtype, threads, streams, prompt } = settings;
  const maxClients = Math.max(...settings.clients);
  const largest = kvTokens(requestsOf(settings, maxClients), maxClients);
  const tokens = Math.max(largest, streams * (streamLength(prompt) + 128) + prompt + 64);
  const folder = randomCheckpoint(shapeName);
  say(`loading ${folder} in ${dtype}`);
  return new EngineClient({
    model: folder,
    dtype,
    threads,
    kvMib: Math.ceil((tokens * kvBytesPerToken(shape, dtype)) / 2 ** 20) + 1,
    maxQueue: Math.max(256, maxClients),
  });
}

function table(f: LoadFigures): string {
  const ms = ({ p50, p99 }: Quantiles) => [p50.toFixed(1), p99.toFixed(1)];
  const rows = (f.closed_loop ?? []).map((row) => [
    String(row.clients),
    row.tokens_s.toFixed(1),
    ...ms(row.ttft_ms),
    ...ms(row.itl_ms),
  ]);
  const head = ["clients", "tokens/s", "ttft p50", "p99", "itl p50", "p99 ms"];
  const { long_prompt: long, event_loop: loop } = f;
  const delay = (name: string, { delay_ms, step_ms }: LoopDelay) =>
    `  ${name.padEnd(22)}p50 ${delay_ms.p50.toFixed(2)} ms, p99 ${delay_ms.p99.toFixed(2)} ms${step_ms === null ? "" : `; ${step_ms.toFixed(1)} ms per step`}`;
  const texts = [
    `${f.model.shape} on ${f.model.backend}, ${f.machine.threads} threads of ${f.machine.cores}`,
    f.closed_loop && columns([head, ...rows]).join("\n"),
    long &&
      `${long.streams} streams, itl alone: p50 ${long.quiet_ms.p50.toFixed(1)} ms, p99 ${long.quiet_ms.p99.toFixed(1)} ms
  beside a prompt of ${long.prompt_tokens} tokens: p50 ${long.beside_ms.p50.toFixed(1)} ms, p99 ${long.beside_ms.p99.toFixed(1)} ms, ${long.p99_over_quiet_p50.toFixed(2)} × the quiet p50
  its own first token after ${(long.prompt_ttft_ms / 1000).toFixed(1)} s`,
    loop &&
      `the event loop's delay
${delay("idle engine", loop.idle)}
${delay("busy engine", loop.engine_busy)}
${delay("busy engine, busy loop", loop.both_busy)}`,
    f.goodput && goodputTable(f.goodput),
  ];
  return `${texts.filter(Boolean).join("\n\n")}\n`;
}
