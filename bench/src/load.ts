// npm run bench -- load: what clients of a busy engine wait for.
import { availableParallelism, cpus } from "node:os";
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import { parseArgs } from "node:util";
import {
  dtypeOf,
  dtypes,
  type EngineEvent,
  type EngineOptions,
  type EngineRequest,
  type StructureRun,
} from "@anabranch/native";
import { Random } from "@anabranch/training/random.ts";
import { whole } from "./arguments.ts";
import { type Quantiles, quantiles } from "./quantiles.ts";
import { Serving } from "./serving.ts";
import { shapeFolder, shapes } from "./shapes.ts";

const help = `npm run bench -- load [options]

Random weights in a known model's shape, and answers whose structure is given: prompts of 64 to 512
tokens, serial text, and in three of five answers a stage of 2 to 6 branches, sizes from a seed.

1. Closed loop: each client has one request at a time. ttft is from submitting to the first token;
   itl is between two steps that brought tokens of one answer, as JavaScript hears of them.
2. Streams alone, then the same streams while a long prompt is prefilled: their itl meanwhile, and the
   ratio of its p99 to the quiet p50 (the project's own bound is 3).
3. How late Node's event loop runs its timers: with an idle engine, a busy one, and a busy one while
   JavaScript computes half of the time; and what a step takes meanwhile.

  --shape NAME     ${Object.keys(shapes).join(", ")} (default qwen2.5-0.5b)
  --dtype TYPE     ${dtypes.join(", ")} (default bf16)
  --clients LIST   clients at once (default 1,4,16,64)
  --requests N     requests of each client (default 2)
  --streams N      streams of part 2 (default 4)
  --prompt N       tokens of the long prompt (default 4000)
  --threads N      threads of the engine (default: all cores but one, as a worker has them)
  --seed N         of all sizes (default 1)
  --json           one JSON value on stdout
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

interface Beside {
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
  machine: { cpu: string; cores: number; threads: number };
  model: { shape: string; dtype: string; backend: string };
  closed_loop: ClosedLoop[];
  long_prompt: Beside;
  event_loop: { idle: LoopDelay; engine_busy: LoopDelay; both_busy: LoopDelay };
}

const say = (line: string) => process.stderr.write(`${line}\n`);
const round = (value: number) => Number(value.toFixed(3));

/** A length of text: each power of two from `low` to `high` as likely as another. */
const size = (random: Random, low: number, high: number): number =>
  Math.round(low * (high / low) ** random.float());

/** An answer's prompt and structure, as a chat's answers are sized. */
function drawn(random: Random, vocabulary: number): Omit<EngineRequest, "id"> {
  const tokens = (n: number) => Array.from({ length: n }, () => random.int(0, vocabulary - 1));
  const prompt = tokens(size(random, 64, 512));
  const script: StructureRun[] = [{ serial: [...prompt, ...tokens(size(random, 16, 96))] }];
  if (random.chance(0.6)) {
    const branches = random.int(2, 6);
    script.push(
      { serial: tokens(5 * branches + 1) },
      { parallel: Array.from({ length: branches }, () => tokens(size(random, 24, 128))) },
      { serial: tokens(size(random, 8, 48)) },
    );
  }
  return { prompt, script };
}

const tokensIn = (runs: readonly StructureRun[] = []): number =>
  runs
    .flatMap((run) => ("serial" in run ? [run.serial] : run.parallel))
    .reduce((sum, { length }) => sum + length, 0);

const hasToken = (events: readonly EngineEvent[]) => events.some(({ kind }) => kind === "token");

/** When the steps of one answer brought tokens, in milliseconds. */
class Steps {
  readonly asked = performance.now();
  readonly at: number[] = [];
  readonly hear = (events: readonly EngineEvent[]): void => {
    if (hasToken(events)) this.at.push(performance.now());
  };
  get first(): number {
    return (this.at[0] ?? Number.NaN) - this.asked;
  }
  /** Times between steps, of those that end in [from, to]. */
  gaps(from = 0, to = Number.POSITIVE_INFINITY): number[] {
    return this.at.flatMap((at, i) => {
      const before = this.at[i - 1];
      return before === undefined || at < from || at > to ? [] : [at - before];
    });
  }
}

async function closedLoop(
  serving: Serving,
  requests: readonly Omit<EngineRequest, "id">[],
  clients: number,
): Promise<ClosedLoop> {
  const queue = requests.values();
  const steps: Steps[] = [];
  let prompts = 0;
  let completions = 0;
  const before = serving.engine.load().preemptions;
  const began = performance.now();
  const client = async () => {
    for (const request of queue) {
      const mine = new Steps();
      steps.push(mine);
      const { usage } = await serving.ask(request, mine.hear).end;
      prompts += usage.promptTokens;
      completions += usage.completionTokens;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  const seconds = (performance.now() - began) / 1000;
  return {
    clients,
    requests: requests.length,
    seconds: round(seconds),
    prompt_tokens: prompts,
    completion_tokens: completions,
    tokens_s: round(completions / seconds),
    ttft_ms: quantiles(steps.map(({ first }) => first)),
    itl_ms: quantiles(steps.flatMap((each) => each.gaps())),
    preemptions: serving.engine.load().preemptions - before,
  };
}

/** `streams` answers that go on until they are stopped. */
class Streams {
  readonly #serving: Serving;
  readonly #asked: { id: number; end: Promise<unknown> }[];
  readonly steps: Steps[];

  constructor(serving: Serving, streams: number, length: number, vocabulary: number) {
    this.#serving = serving;
    const random = new Random(7);
    const tokens = (n: number) => Array.from({ length: n }, () => random.int(0, vocabulary - 1));
    this.steps = Array.from({ length: streams }, () => new Steps());
    this.#asked = this.steps.map(({ hear }) => {
      const prompt = tokens(64);
      return serving.ask({ prompt, script: [{ serial: [...prompt, ...tokens(length)] }] }, hear);
    });
  }

  /** Until each has brought `count` more tokens. */
  async advance(count: number): Promise<void> {
    const goals = this.steps.map(({ at }) => at.length + count);
    while (this.steps.some(({ at }, i) => at.length < (goals[i] ?? 0))) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  gaps(from: number, to: number): number[] {
    return this.steps.flatMap((each) => each.gaps(from, to));
  }
  async stop(): Promise<void> {
    for (const { id } of this.#asked) this.#serving.engine.cancel(id);
    await Promise.all(this.#asked.map(({ end }) => end));
  }
}

const quietSteps = 64;

async function longPrompt(
  serving: Serving,
  streams: number,
  length: number,
  room: number,
  vocabulary: number,
): Promise<Beside> {
  const running = new Streams(serving, streams, room, vocabulary);
  await running.advance(4);
  const quietFrom = performance.now();
  await running.advance(quietSteps);
  const prompt = Array.from({ length }, (_, i) => (i * 7919 + 13) % vocabulary);
  const mine = new Steps();
  const end = serving.ask({ prompt, script: [{ serial: [...prompt, 1] }] }, mine.hear).end;
  await end;
  const done = performance.now();
  await running.stop();
  const quiet = quantiles(running.gaps(quietFrom, mine.asked));
  const beside = quantiles(running.gaps(mine.asked, done));
  return {
    streams,
    prompt_tokens: length,
    quiet_ms: quiet,
    beside_ms: beside,
    p99_over_quiet_p50: round(beside.p99 / quiet.p50),
    prompt_ttft_ms: round(mine.first),
  };
}

/** The delay of Node's timers while `work` lasts. */
async function loopDelay(serving: Serving, work: () => Promise<void>): Promise<LoopDelay> {
  const resolution = 1;
  const histogram: IntervalHistogram = monitorEventLoopDelay({ resolution });
  const before = serving.engine.load();
  histogram.enable();
  await work();
  histogram.disable();
  const after = serving.engine.load();
  const steps = after.decodeSteps - before.decodeSteps;
  const late = (percent: number) =>
    round(Math.max(0, histogram.percentile(percent) / 1e6 - resolution));
  return {
    delay_ms: { p50: late(50), p99: late(99) },
    step_ms: steps > 0 ? round(((after.decodeSeconds - before.decodeSeconds) / steps) * 1e3) : null,
  };
}

/** JavaScript computes for half of the time, 4 ms at once, until it is told to stop. */
function compute(): () => void {
  const timer = setInterval(() => {
    for (const until = performance.now() + 4; performance.now() < until; );
  }, 8);
  return () => clearInterval(timer);
}

async function eventLoop(
  serving: Serving,
  streams: number,
  vocabulary: number,
): Promise<LoadFigures["event_loop"]> {
  const idle = await loopDelay(
    serving,
    () => new Promise<void>((resolve) => setTimeout(resolve, 2000)),
  );
  const running = new Streams(serving, streams, 2 * quietSteps + 64, vocabulary);
  await running.advance(4);
  const engine_busy = await loopDelay(serving, () => running.advance(quietSteps));
  const rest = compute();
  const both_busy = await loopDelay(serving, () => running.advance(quietSteps));
  rest();
  await running.stop();
  return { idle, engine_busy, both_busy };
}

export async function benchLoad(argv: string[]): Promise<void> {
  const { values } = parseArgs({
    args: argv,
    options: {
      shape: { type: "string", default: "qwen2.5-0.5b" },
      dtype: { type: "string", default: "bf16" },
      clients: { type: "string", default: "1,4,16,64" },
      requests: { type: "string", default: "2" },
      streams: { type: "string", default: "4" },
      prompt: { type: "string", default: "4000" },
      threads: { type: "string", default: String(Math.max(1, availableParallelism() - 1)) },
      seed: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return;
  }
  const shape = Object.hasOwn(shapes, values.shape) ? shapes[values.shape] : undefined;
  if (!shape) throw new Error(`unknown shape ${values.shape}; known: ${Object.keys(shapes)}`);
  const dtype = dtypeOf(values.dtype);
  if (!dtype) throw new Error(`--dtype is one of ${dtypes.join(", ")}`);
  const clients = values.clients.split(",").map((text) => whole("clients", text, 1, 4096));
  const each = whole("requests", values.requests, 1, 10_000);
  const streams = whole("streams", values.streams, 1, 64);
  const prompt = whole("prompt", values.prompt, 1, shape.max_position_embeddings - 1);
  const threads = whole("threads", values.threads, 1, 1024);
  const seed = whole("seed", values.seed, 0, 2 ** 32 - 1);

  const folder = shapeFolder(values.shape, shape, say);
  const vocabulary = shape.vocab_size;
  const requestsOf = (count: number) => {
    const random = new Random(seed);
    return Array.from({ length: count * each }, () => drawn(random, vocabulary));
  };
  const most = Math.max(...clients);
  // A stream goes on for as long as the prompt takes: one token for each row of it at the most.
  const room = quietSteps + prompt + 64;
  const kvBytes =
    2 *
    shape.num_hidden_layers *
    shape.num_key_value_heads *
    shape.head_dim *
    (dtype === "fp32" ? 4 : 2);
  const largest = requestsOf(most)
    .map(({ script }) => tokensIn(script) + 9 * 16)
    .sort((a, b) => b - a)
    .slice(0, Math.min(most, 64))
    .reduce((sum, n) => sum + n, 0);
  const tokens = Math.max(largest, streams * (room + 128) + prompt + 64);
  say(`loading ${folder} in ${dtype}`);
  const options: EngineOptions = {
    model: folder,
    dtype,
    threads,
    kvMib: Math.ceil((tokens * kvBytes) / 2 ** 20) + 1,
    maxQueue: Math.max(256, most),
  };
  const serving = new Serving(options);
  const backend = serving.engine.info().backend;
  say(`serving on ${backend}`);
  const loops: ClosedLoop[] = [];
  for (const count of clients) {
    const figures = await closedLoop(serving, requestsOf(count), count);
    say(`  ${count} clients: ${figures.tokens_s.toFixed(1)} tokens/s`);
    loops.push(figures);
  }
  say(`prefilling ${prompt} tokens beside ${streams} streams`);
  const beside = await longPrompt(serving, streams, prompt, room, vocabulary);
  say("watching the event loop");
  const loop = await eventLoop(serving, streams, vocabulary);
  serving.engine.close();
  const figures: LoadFigures = {
    machine: { cpu: cpus()[0]?.model.trim() ?? "", cores: availableParallelism(), threads },
    model: { shape: values.shape, dtype, backend },
    closed_loop: loops,
    long_prompt: beside,
    event_loop: loop,
  };
  process.stdout.write(values.json ? `${JSON.stringify(figures)}\n` : table(figures));
}

function table(f: LoadFigures): string {
  const ms = ({ p50, p99 }: Quantiles) => [p50.toFixed(1), p99.toFixed(1)];
  const rows = f.closed_loop.map((row) => [
    String(row.clients),
    row.tokens_s.toFixed(1),
    ...ms(row.ttft_ms),
    ...ms(row.itl_ms),
  ]);
  const head = ["clients", "tokens/s", "ttft p50", "p99", "itl p50", "p99 ms"];
  const lines = [head, ...rows].map((row) => row.map((cell) => cell.padStart(10)).join(""));
  const { long_prompt: long, event_loop: loop } = f;
  const late = (name: string, { delay_ms, step_ms }: LoopDelay) =>
    `  ${name.padEnd(22)}p50 ${delay_ms.p50.toFixed(2)} ms, p99 ${delay_ms.p99.toFixed(2)} ms${step_ms === null ? "" : `; ${step_ms.toFixed(1)} ms a step`}`;
  return `${f.model.shape} on ${f.model.backend}, ${f.machine.threads} threads of ${f.machine.cores}
${lines.join("\n")}

${long.streams} streams, itl alone: p50 ${long.quiet_ms.p50.toFixed(1)} ms, p99 ${long.quiet_ms.p99.toFixed(1)} ms
  beside a prompt of ${long.prompt_tokens} tokens: p50 ${long.beside_ms.p50.toFixed(1)} ms, p99 ${long.beside_ms.p99.toFixed(1)} ms, ${long.p99_over_quiet_p50.toFixed(2)} × the quiet p50
  its own first token after ${(long.prompt_ttft_ms / 1000).toFixed(1)} s

the event loop's delay
${late("idle engine", loop.idle)}
${late("busy engine", loop.engine_busy)}
${late("busy engine, busy loop", loop.both_busy)}
`;
}
