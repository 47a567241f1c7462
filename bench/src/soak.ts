// npm run bench -- soak: thousands of mixed requests on one engine with too little KV, many of them
// aborted, each answer compared with the answer to the same request alone.
import { type LocatedModel, locateModel } from "@anabranch/gpu-worker/model/locate.ts";
import { TextModel } from "@anabranch/gpu-worker/model/text-model.ts";
import { integer } from "@anabranch/shared/cli/options.ts";
import { Random } from "@anabranch/training/random.ts";
import { EngineClient } from "./engine-client.ts";
import { say } from "./report.ts";
import { type Kind, ReferenceEngine, RequestGenerator, type SoakRequest } from "./soak-requests.ts";
import { defineSubject } from "./subject.ts";
import { type Phase, phases, Transcript } from "./transcript.ts";

const help = `npm run bench -- soak [options]

Sends greedy and seeded requests, serial and parallel, scripts, second turns after a structured answer,
and several choices of one prompt, with priorities, deadlines, and prefixes shared under three salts. A
seed decides all of it. Some requests are aborted: in the queue, in prefill, in serial text, at a fork,
in a branch, or at a join. KV is so small that requests are preempted, and all invariants are checked
after every step. At the end all KV must be free, and every complete answer must equal, token for token,
the answer to the same request alone on another engine without a cache. Exits with 1 otherwise.

  --model MODEL   one with a dialect: a folder, or hf:OWNER/NAME (default models/small)
  --requests N    requests in total (default 5000)
  --clients N     concurrent calls (default 48)
  --abort N       percentage of requests to abort (default 40)
  --kv-mib N      memory for KV (default 5: for models/small, 2,048 tokens)
  --max-tokens N  completion tokens of an answer, at most (default 160)
  --seed N        decides the requests (default 1)
  --json          print one JSON value to stdout
`;

const finishReasons = ["", "stop", "length", "cancelled", "deadline"] as const;
type FinishReason = (typeof finishReasons)[number];

/** What the command prints with --json. */
export interface SoakFigures {
  model: string;
  backend: string;
  requests: number;
  seconds: number;
  kinds: Record<Kind, number>;
  ended: Record<string, number>;
  aborted: Record<Phase, number>;
  preemptions: number;
  prompt_tokens: number;
  cached_tokens: number;
  kv: { total: number; free: number; cached: number };
  /** Complete answers, the distinct requests among them, and the answers that differ. */
  compared: number;
  distinct: number;
  different: number;
}

interface Settings {
  model: LocatedModel;
  requests: number;
  clients: number;
  abort: number;
  kvMib: number;
  maxTokens: number;
  seed: number;
}

export const subject = defineSubject({
  help,
  options: {
    model: { type: "string", default: "models/small" },
    requests: { type: "string", default: "5000" },
    clients: { type: "string", default: "48" },
    abort: { type: "string", default: "40" },
    "kv-mib": { type: "string", default: "5" },
    "max-tokens": { type: "string", default: "160" },
    seed: { type: "string", default: "1" },
  },
  async measure(values) {
    return await soak({
      model: await locateModel(values.model),
      requests: integer("requests", values.requests, 1, 10_000_000),
      clients: integer("clients", values.clients, 1, 250),
      abort: integer("abort", values.abort, 0, 100),
      kvMib: integer("kv-mib", values["kv-mib"], 1, 1 << 20),
      maxTokens: integer("max-tokens", values["max-tokens"], 1, 1 << 20),
      seed: integer("seed", values.seed, 0, 2 ** 32 - 1),
    });
  },
  table,
  passed: ({ different, kv }) => different === 0 && kv.free === kv.total,
});

/** A request with the random numbers that decide its abort, priority, salt and deadline. */
interface Drawn {
  request: SoakRequest;
  random: Random;
}

interface Complete {
  request: SoakRequest;
  answer: string;
}

async function soak(settings: Settings): Promise<SoakFigures> {
  const random = new Random(settings.seed);
  const { path } = settings.model;
  const model = await TextModel.open(settings.model);
  if (!model.dialect) throw new Error(`${path} has no dialect: nothing in it branches`);
  const reference = new ReferenceEngine(path, model.dialect.opener.at(-1));
  const client = new EngineClient({
    model: path,
    threads: 1,
    kvMib: settings.kvMib,
    maxRunning: Math.ceil(settings.clients / 2),
    validate: true,
  });
  const { kvTotal } = client.engine.load();
  const { context, backend } = client.engine.info();
  const figures: SoakFigures = {
    ...{ model: model.id, backend, requests: settings.requests, seconds: 0 },
    kinds: { greedy: 0, seeded: 0, script: 0, second_turn: 0 },
    ended: { stop: 0, length: 0, cancelled: 0, deadline: 0 },
    aborted: { queued: 0, prefill: 0, serial: 0, fork: 0, branch: 0, join: 0 },
    ...{ preemptions: 0, prompt_tokens: 0, cached_tokens: 0 },
    kv: { total: kvTotal, free: 0, cached: 0 },
    ...{ compared: 0, distinct: 0, different: 0 },
  };
  // A request may leave a block partly filled in each of its segments.
  const maxContext = Math.min(context, kvTotal * 16 - 16 * 64);
  const generator = new RequestGenerator(random, model, reference, settings.maxTokens, maxContext);
  say(`drawing ${settings.requests} requests`);
  const calls = await drawCalls(settings.requests, generator, random, figures);

  say("submitting them");
  const began = performance.now();
  const complete = await runCalls(calls, client, settings, figures);
  figures.seconds = Number(((performance.now() - began) / 1000).toFixed(1));

  const load = client.engine.load();
  figures.preemptions = load.preemptions;
  figures.prompt_tokens = load.promptTokens;
  figures.cached_tokens = load.cachedTokens;
  figures.kv = { total: load.kvTotal, free: load.kvFree, cached: load.kvCached };
  client.engine.close();

  say(`comparing ${complete.length} answers`);
  await compare(complete, reference, figures);
  figures.distinct = reference.distinct;
  reference.close();
  return figures;
}

/** Draws calls of one or several requests until there are `count` requests. */
async function drawCalls(
  count: number,
  generator: RequestGenerator,
  random: Random,
  figures: SoakFigures,
): Promise<Drawn[][]> {
  const calls: Drawn[][] = [];
  for (let left = count; left > 0; ) {
    const { kind, requests } = await generator.next();
    const call = requests.slice(0, left);
    left -= call.length;
    figures.kinds[kind] += call.length;
    calls.push(call.map((request) => ({ request, random: new Random(random.int(0, 2 ** 31)) })));
  }
  return calls;
}

/** Makes all calls, `clients` at once. Returns the answers that were not aborted. */
async function runCalls(
  calls: readonly Drawn[][],
  client: EngineClient,
  { clients, abort }: Settings,
  figures: SoakFigures,
): Promise<Complete[]> {
  const complete: Complete[] = [];
  let begun = 0;
  const run = async ({ request, random }: Drawn) => {
    const cancelled = figures.ended.cancelled ?? 0;
    // Many requests end before they reach the phase of their abort: later ones make up for them.
    const tooFew = cancelled < (abort / 100) * ++begun;
    const target = abort && random.chance(tooFew ? 0.8 : 0.2) ? random.pick(phases) : undefined;
    const { reason, answer, abortedIn } = await runRequest(request, random, client, target);
    figures.ended[reason] = (figures.ended[reason] ?? 0) + 1;
    if (abortedIn && reason === "cancelled") figures.aborted[abortedIn]++;
    if (reason === "stop" || reason === "length") complete.push({ request, answer });
    const ended = Object.values(figures.ended).reduce((sum, n) => sum + n, 0);
    if (ended % 500 === 0) say(`  ${ended} ended`);
  };
  const queue = calls.values();
  const runClient = async () => {
    for (const call of queue) await Promise.all(call.map(run));
  };
  await Promise.all(Array.from({ length: clients }, runClient));
  return complete;
}

/** Submits one request and aborts it in the phase `target`, if that is given. */
async function runRequest(
  request: SoakRequest,
  random: Random,
  client: EngineClient,
  target: Phase | undefined,
): Promise<{ reason: FinishReason; answer: string; abortedIn: Phase | undefined }> {
  const transcript = new Transcript(request.prompt);
  // Not every answer reaches its target phase: after so many steps it is aborted in any.
  let stepsLeft = random.int(20, 80);
  let abortedIn: Phase | undefined;
  const abortInTarget = () => {
    if (!target || abortedIn || (transcript.phase !== target && --stepsLeft > 0)) return;
    abortedIn = transcript.phase;
    client.engine.cancel(submitted.id);
  };
  const submitted = client.submit(
    {
      ...request,
      priority: random.pick([0, 0, 0, 1, -1]),
      cacheSalt: new Uint8Array(random.chance(0.9) ? [random.int(1, 3)] : []),
      deadlineMs: random.chance(0.03) ? random.int(1, 400) : 0,
    },
    (events) => {
      transcript.record(events);
      abortInTarget();
    },
  );
  abortInTarget();
  const { reason } = await submitted.finished;
  return { reason: finishReasons[reason] ?? "", answer: transcript.text, abortedIn };
}

/** Compares answers with those of the reference engine, and prints the first that differ. */
async function compare(
  complete: readonly Complete[],
  reference: ReferenceEngine,
  figures: SoakFigures,
): Promise<void> {
  for (const { request, answer } of complete) {
    const expected = (await reference.answer(request)).text;
    figures.compared++;
    if (answer === expected) continue;
    if (figures.different++ < 3) {
      say(
        `different: ${JSON.stringify(request)}\n--- alone\n${expected}\n--- in company\n${answer}`,
      );
    }
  }
}

function table(f: SoakFigures): string {
  const list = (counts: Record<string, number>) =>
    Object.entries(counts)
      .map(([name, count]) => `${name.replace("_", " ")} ${count}`)
      .join(", ");
  const cached = (100 * f.cached_tokens) / f.prompt_tokens;
  return `${f.model} on ${f.backend}: ${f.requests} requests in ${f.seconds} s
  kinds     ${list(f.kinds)}
  ended     ${list(f.ended)}
  aborted   ${list(f.aborted)}
  preempted ${f.preemptions} times; the cache had ${cached.toFixed(1)}% of ${f.prompt_tokens} prompt tokens
  KV        ${f.kv.free} of ${f.kv.total} blocks free at the end, ${f.kv.cached} of them cached
  compared  ${f.compared} answers of ${f.distinct} different requests: ${f.different} differ
`;
}
