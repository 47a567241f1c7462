// Part 4 of npm run bench -- load: what the schedule of branches is worth under a limit on the time per
// token.
import type { Dtype } from "@anabranch/native";
import { Random } from "@anabranch/training/random.ts";
import { EngineClient } from "./engine-client.ts";
import { arrivalTimes, kvTokens, type Request, randomRequest } from "./load-requests.ts";
import { median, type Quantiles, quantiles } from "./quantiles.ts";
import { randomCheckpoint } from "./random-checkpoint.ts";
import { columns, round, say } from "./report.ts";
import { kvBytesPerToken, type Shape } from "./shapes.ts";

export interface GoodputSettings {
  shapeName: string;
  shape: Shape;
  dtype: Dtype;
  threads: number;
  seed: number;
  loads: number[];
  arrivals: number;
  /** Each of other requests. */
  rounds: number;
  /** In quiet times per token. */
  limits: number[];
  cap: number;
  answerScale: number;
}

/** An answer as its client saw it. */
export interface AnswerTimes {
  tokens: number;
  /** From arrival to the first token. */
  firstMs: number;
  /** From the first token to the last, over the tokens after the first. */
  perTokenMs: number;
}

/** One schedule under one load. */
export interface GoodputRun {
  load: number;
  schedule: string;
  /** The limit that the schedule knew, in quiet times per token. */
  limit: number | null;
  seconds: number;
  tokens_s: number;
  /** By limit, in the order of `limits`: tokens a second of the answers that met it. */
  goodput: number[];
  ttft_ms: Quantiles;
  time_per_token_ms: Quantiles;
  /** Of a step, outside of the forward pass and sampling. */
  scheduling_ms: number;
  /** Of the step times: by how much the predicted ones were wrong. */
  misprediction: number;
}

export interface GoodputFigures {
  backend: string;
  quiet_ms: number;
  limits: number[];
  runs: GoodputRun[];
}

/** Tokens a second of the answers whose time per token is at most `limitMs`. */
export function goodputOf(answers: readonly AnswerTimes[], limitMs: number, seconds: number) {
  const met = answers.filter(({ perTokenMs }) => perTokenMs <= limitMs);
  return round(met.reduce((sum, { tokens }) => sum + tokens, 0) / seconds);
}

/**
 * All schedules get the same requests at the same times, one after another before the next load, and in the other
 * order in every second round: a machine's speed changes within minutes.
 */
export async function measureGoodput(settings: GoodputSettings): Promise<GoodputFigures> {
  const { shape, seed, limits, rounds } = settings;
  const rounded = Array.from({ length: rounds }, (_, index) => requestsOf(settings, seed + index));
  const [some = []] = rounded;
  const schedules: { schedule: string; limit: number | null }[] = [
    ...["off", `cap:${settings.cap}`, "eager"].map((schedule) => ({ schedule, limit: null })),
    ...limits.map((limit) => ({ schedule: "slack", limit })),
  ];
  const kvTokensOfAll = Math.max(...rounded.map((each) => kvTokens(each, each.length)));
  const times: Alone[] = [];
  const open = async (schedule: string, limit: number | null) => {
    // Slack knows its limit as a worker does, in multiples of what the engines before it took.
    const limitMs = limit === null ? 0 : limit * median(times.map((each) => each.quietMs));
    const client = openEngine(settings, kvTokensOfAll, schedule, limitMs);
    // This also fits the model of step times.
    times.push(await alone(client, some, shape.vocab_size));
    return { schedule, limit, client, runs: new Map<number, Run[]>() };
  };
  const opened: Awaited<ReturnType<typeof open>>[] = [];
  for (const { schedule, limit } of schedules) opened.push(await open(schedule, limit));
  const quietMs = median(times.map((each) => each.quietMs));
  const aloneSeconds = median(times.map((each) => each.aloneSeconds));
  say(`one stream alone: ${quietMs.toFixed(1)} ms per token`);
  for (const [index, requests] of rounded.entries()) {
    for (const load of settings.loads) {
      const arrivals = arrivalTimes(
        new Random(seed + index),
        load / aloneSeconds,
        settings.arrivals,
      );
      for (const { schedule, limit, client, runs } of index % 2 === 0
        ? opened
        : opened.toReversed()) {
        const run = await arrive(client, requests, arrivals);
        runs.set(load, [...(runs.get(load) ?? []), run]);
        const told = limits.map((each) => goodputOf(run.answers, each * quietMs, run.seconds));
        say(
          `  round ${index + 1}, load ${load}, ${schedule}${limit === null ? "" : ` at ${limit}`}: ${told.join(", ")}`,
        );
      }
    }
  }
  const [first] = opened;
  const backend = first?.client.engine.info().backend ?? "";
  for (const { client } of opened) client.engine.close();
  const runs = settings.loads.flatMap((load) =>
    opened.map(({ schedule, limit, runs: byLoad }): GoodputRun => {
      const all = byLoad.get(load) ?? [];
      const answers = all.flatMap((run) => run.answers);
      const seconds = all.reduce((sum, run) => sum + run.seconds, 0);
      const goodput = limits.map((each) => goodputOf(answers, each * quietMs, seconds));
      return { load, schedule, limit, goodput, ...figuresOf(all, answers, seconds) };
    }),
  );
  return { backend, quiet_ms: round(quietMs), limits, runs };
}

function requestsOf({ shape, arrivals, answerScale }: GoodputSettings, seed: number): Request[] {
  const random = new Random(seed);
  return Array.from({ length: arrivals }, () =>
    randomRequest(random, shape.vocab_size, answerScale),
  );
}

function openEngine(
  { shapeName, shape, dtype, threads, arrivals }: GoodputSettings,
  kvTokensOfAll: number,
  branchSchedule: string,
  maxTimePerTokenMs: number,
): EngineClient {
  const tokens = kvTokensOfAll + 1024;
  return new EngineClient({
    ...{ model: randomCheckpoint(shapeName), dtype, threads, branchSchedule },
    ...(maxTimePerTokenMs > 0 && { maxTimePerTokenMs }),
    kvMib: Math.ceil((tokens * kvBytesPerToken(shape, dtype)) / 2 ** 20) + 1,
    maxQueue: Math.max(256, arrivals),
  });
}

const quietTokens = 24;

interface Alone {
  /** The time per token of a serial stream. */
  quietMs: number;
  /** The mean time of a request. */
  aloneSeconds: number;
}

async function alone(
  client: EngineClient,
  requests: readonly Request[],
  vocabulary: number,
): Promise<Alone> {
  const prompt = Array.from({ length: 32 }, (_, i) => (i * 37) % vocabulary);
  const steps: number[] = [];
  const serial = [...prompt, ...prompt.slice(0, quietTokens)];
  await client.submit({ prompt, script: [{ serial }] }, (events) => {
    if (events.some(({ kind }) => kind === "token")) steps.push(performance.now());
  }).finished;
  const began = performance.now();
  const some = requests.slice(0, 4);
  for (const request of some) await client.submit(request).finished;
  return {
    quietMs: ((steps.at(-1) ?? 0) - (steps[0] ?? 0)) / (steps.length - 1),
    aloneSeconds: (performance.now() - began) / 1000 / some.length,
  };
}

interface Run {
  answers: AnswerTimes[];
  seconds: number;
  before: ReturnType<EngineClient["engine"]["load"]>;
  after: ReturnType<EngineClient["engine"]["load"]>;
}

/** Submits each request at its time, in seconds from now, and waits for all. */
async function arrive(
  client: EngineClient,
  requests: readonly Request[],
  times: readonly number[],
): Promise<Run> {
  const before = client.engine.load();
  const began = performance.now();
  const answers = await Promise.all(
    requests.map(async (request, i): Promise<AnswerTimes> => {
      const due = began + 1000 * (times[i] ?? 0);
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
      const at: number[] = [];
      let tokens = 0;
      await client.submit(request, (events) => {
        const written = events.filter(({ kind }) => kind === "token").length;
        if (written > 0) at.push(performance.now());
        tokens += written;
      }).finished;
      const first = at[0] ?? Number.NaN;
      const last = at.at(-1) ?? Number.NaN;
      return { tokens, firstMs: first - due, perTokenMs: (last - first) / Math.max(1, tokens - 1) };
    }),
  );
  const seconds = (performance.now() - began) / 1000;
  return { answers, seconds, before, after: client.engine.load() };
}

function figuresOf(runs: readonly Run[], answers: readonly AnswerTimes[], seconds: number) {
  const since = (
    field: "steps" | "schedulingSeconds" | "predictedSeconds" | "mispredictionSeconds",
  ) => runs.reduce((sum, { before, after }) => sum + after[field] - before[field], 0);
  return {
    seconds: round(seconds),
    tokens_s: round(answers.reduce((sum, { tokens }) => sum + tokens, 0) / seconds),
    ttft_ms: quantiles(answers.map(({ firstMs }) => firstMs)),
    time_per_token_ms: quantiles(answers.map(({ perTokenMs }) => perTokenMs)),
    scheduling_ms: round((1e3 * since("schedulingSeconds")) / since("steps")),
    misprediction: round(since("mispredictionSeconds") / since("predictedSeconds")),
  };
}

export function goodputTable({ quiet_ms, limits, runs }: GoodputFigures): string {
  const ms = ({ p50, p99 }: Quantiles) => [p50.toFixed(1), p99.toFixed(1)];
  const head = [
    ...["load", "schedule", "tokens/s"],
    ...limits.map((limit) => `≤ ${limit}×`),
    ...["ttft p50", "p99 ms", "tpt p50", "p99 ms", "sched. ms", "off by"],
  ];
  const rows = runs.map((run) => [
    ...[String(run.load), run.limit === null ? run.schedule : `${run.schedule} ${run.limit}`],
    run.tokens_s.toFixed(1),
    // Slack is run for each limit; the others don't know it.
    ...run.goodput.map((each, i) =>
      run.limit === null || run.limit === limits[i] ? each.toFixed(1) : "",
    ),
    ...ms(run.ttft_ms),
    ...ms(run.time_per_token_ms),
    run.scheduling_ms.toFixed(3),
    `${(100 * run.misprediction).toFixed(0)}%`,
  ]);
  return `goodput in tokens/s, by limit on the time per token (tpt; one stream alone: ${quiet_ms.toFixed(1)} ms)
${columns([head, ...rows]).join("\n")}`;
}
