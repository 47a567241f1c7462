// npm run bench -- soak: thousands of mixed requests through one engine that has too little KV for
// them, many aborted, and every answer held against the same request answered alone.
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { TextModel } from "@anabranch/gpu-worker/model/text-model.ts";
import type { EngineEvent, EngineLoad, EngineRequest, StructureRun } from "@anabranch/native";
import { Random } from "@anabranch/training/random.ts";
import { makeTask } from "@anabranch/training/tasks/catalogue.ts";
import { whole } from "./arguments.ts";
import { Serving } from "./serving.ts";

const help = `npm run bench -- soak [options]

Greedy and seeded answers, serial and parallel, scripts, second turns over the first turn's structure,
several choices of one prompt, priorities, deadlines, and prefixes shared under three salts, all by a
seed. Some are aborted: while queued, in prefill, in serial text, at a fork, in a branch, at a join. KV
is so small that requests are preempted; every invariant is checked after every step. At the end all
KV must be free, and every answer that came to its end must equal, token for token, the answer of the
same request alone on another engine without a cache. Exits with 1 where one does not.

  --model DIR     a model with a dialect (default models/small)
  --requests N    requests in all (default 5000)
  --clients N     requests under way at once (default 48)
  --abort N       how many in a hundred are aborted (default 40)
  --kv-mib N      memory for KV (default 5: for models/small, 2,048 tokens)
  --max-tokens N  completion tokens of one answer at the most (default 160)
  --seed N        which requests (default 1)
  --json          one JSON value on stdout
`;

const say = (line: string) => process.stderr.write(`${line}\n`);

/** What decides an answer's tokens. */
type Question = Omit<
  EngineRequest,
  "id" | "priority" | "cacheSalt" | "deadlineMs" | "sequential" | "returnLogits" | "log"
>;

type Kind = "greedy" | "seeded" | "script" | "second_turn";

const finishWords = ["", "stop", "length", "cancelled", "deadline"] as const;
type FinishWord = (typeof finishWords)[number];

const moments = ["queued", "prefill", "serial", "fork", "branch", "join"] as const;
type Moment = (typeof moments)[number];

/** What the command prints with --json. */
export interface SoakFigures {
  model: string;
  backend: string;
  requests: number;
  seconds: number;
  kinds: Record<Kind, number>;
  ended: Record<string, number>;
  aborted: Record<Moment, number>;
  preemptions: number;
  prompt_tokens: number;
  cached_tokens: number;
  kv: { total: number; free: number; cached: number };
  /** Answers that came to their end, the different requests among them, and those that differ. */
  compared: number;
  distinct: number;
  different: number;
}

/** One answer as its events tell it: what it says, and where it is. */
class Heard {
  readonly #lines: string[] = [];
  readonly #runs: StructureRun[];
  #serial: number[];
  #branches = new Map<number, number[]>();
  #planned = false;
  #moment: Moment = "queued";
  readonly #lanes = new Map<number, string[]>();
  readonly #opener: number | undefined;

  constructor(question: Question, opener?: number) {
    this.#opener = opener;
    const { prompt } = question;
    const runs = isStructured(prompt) ? prompt : [{ serial: [...(prompt as readonly number[])] }];
    this.#runs = runs.slice(0, -1);
    this.#serial = serialOf(runs.at(-1));
  }

  get moment(): Moment {
    return this.#moment;
  }

  hear(events: readonly EngineEvent[]): void {
    for (const event of events) this.#take(event);
    // Both write tokens in the same step.
    if (events.some(({ kind }) => kind === "stageOpened")) this.#moment = "fork";
    if (events.some(({ kind }) => kind === "stageClosed")) this.#moment = "join";
  }

  /** Tokens, log-probabilities, structure and end, lane by lane: what must not differ. */
  get said(): string {
    const lanes = [...this.#lanes].sort(([a], [b]) => a - b);
    return [...this.#lines, ...lanes.map(([lane, tokens]) => `${lane}: ${tokens.join(" ")}`)].join(
      "\n",
    );
  }

  /** The conversation so far: prompt and answer, segment by segment as they were decoded. */
  get runs(): StructureRun[] {
    return [...this.#runs, { serial: this.#serial }];
  }

  #take(event: EngineEvent): void {
    switch (event.kind) {
      case "started":
        this.#moment = "prefill";
        break;
      case "token": {
        const { id, forced, visible, logprob } = event.token;
        const lane = this.#lanes.get(event.lane) ?? [];
        this.#lanes.set(event.lane, lane);
        lane.push(
          `${id}${forced ? "f" : ""}${visible ? "" : "h"}${logprob === undefined ? "" : `@${logprob}`}`,
        );
        this.#moment = event.lane === 0 ? "serial" : "branch";
        this.#write(event.lane, id);
        break;
      }
      case "stageOpened":
        this.#lines.push(`opened ${event.lanes.map(({ lane, title }) => `${lane}(${title})`)}`);
        this.#endSerial();
        this.#branches = new Map(event.lanes.map(({ lane }) => [lane, []]));
        break;
      case "branchClosed":
        this.#lines.push(`closed ${event.lane} ${event.reason}`);
        break;
      case "stageClosed":
        this.#lines.push(`joined ${event.stage}`);
        this.#runs.push({ parallel: [...this.#branches.values()] });
        this.#branches = new Map();
        break;
      case "finished": {
        const { reason, usage } = event;
        this.#lines.push(
          `${reason} after ${usage.completionTokens}, ${usage.visibleTokens} visible`,
        );
        break;
      }
      case "released":
      case "logits":
        break;
    }
  }

  #write(lane: number, id: number): void {
    const branch = this.#branches.get(lane);
    if (branch) branch.push(id);
    else {
      if (id === this.#opener && !this.#planned) {
        this.#endSerial();
        this.#planned = true;
      }
      this.#serial.push(id);
    }
  }

  #endSerial(): void {
    if (this.#serial.length > 0) this.#runs.push({ serial: this.#serial });
    this.#serial = [];
    this.#planned = false;
  }
}

const isStructured = (prompt: EngineRequest["prompt"]): prompt is readonly StructureRun[] =>
  typeof prompt[0] === "object";

function serialOf(run: StructureRun | undefined): number[] {
  return run && "serial" in run ? [...run.serial] : [];
}

const length = (prompt: EngineRequest["prompt"]): number =>
  isStructured(prompt)
    ? prompt
        .flatMap((run) => ("serial" in run ? [run.serial] : run.parallel))
        .reduce((sum, tokens) => sum + tokens.length, 0)
    : prompt.length;

/** Requests answered alone, each once. */
class Alone {
  readonly #serving: Serving;
  readonly #opener: number | undefined;
  readonly #known = new Map<string, Promise<Heard>>();

  constructor(model: string, opener?: number) {
    this.#serving = new Serving({ model, threads: 1, kvMib: 64, maxRunning: 1, maxQueue: 1 << 20 });
    this.#opener = opener;
  }

  answer(question: Question): Promise<Heard> {
    const key = JSON.stringify(question);
    const known = this.#known.get(key);
    if (known) return known;
    const heard = new Heard(question, this.#opener);
    const { end } = this.#serving.ask(question, (events) => heard.hear(events));
    const answer = end.then(() => heard);
    this.#known.set(key, answer);
    return answer;
  }
  get distinct(): number {
    return this.#known.size;
  }
  close(): void {
    this.#serving.engine.close();
  }
}

/** Requests of all kinds, the same for the same seed. Few different ones, so that prefixes recur. */
class Questions {
  readonly #random: Random;
  readonly #model: TextModel;
  readonly #alone: Alone;
  readonly #mostTokens: number;
  readonly #room: number;

  constructor(random: Random, model: TextModel, alone: Alone, mostTokens: number, room: number) {
    this.#random = random;
    this.#model = model;
    this.#alone = alone;
    this.#mostTokens = mostTokens;
    this.#room = room;
  }

  async next(): Promise<{ kind: Kind; questions: Question[] }> {
    const random = this.#random;
    const kind = random.pick<Kind>([
      "greedy",
      "greedy",
      "seeded",
      "seeded",
      "script",
      "second_turn",
    ]);
    const prompt = this.#chat();
    if (kind === "script") return { kind, questions: [this.#script(prompt)] };
    const base: Question = {
      prompt,
      parallel: random.chance(0.8),
      maxTokens: random.pick([8, 40, this.#mostTokens, this.#mostTokens]),
      maxBranches: random.pick([0, 0, 0, 2, 3]),
      sampling: random.chance(0.2) ? { logprobs: true, topLogprobs: 2 } : {},
    };
    if (kind === "greedy") return { kind, questions: [base] };
    if (kind === "seeded") {
      const sampling = {
        ...base.sampling,
        temperature: random.pick([0.7, 1, 1.3]),
        topP: random.pick([1, 0.9]),
        topK: random.pick([0, 40]),
        frequencyPenalty: random.pick([0, 0, 0.5]),
      };
      const seed = random.int(1, 3);
      const choices = random.chance(0.3) ? random.int(2, 4) : 1;
      const questions = Array.from({ length: choices }, (_, choice) => ({
        ...base,
        sampling,
        seed,
        choice,
      }));
      return { kind, questions };
    }
    const first: Question = { ...base, sampling: {}, maxTokens: this.#mostTokens };
    const runs = (await this.#alone.answer(first)).runs;
    const last = serialOf(runs.at(-1));
    const second = [...runs.slice(0, -1), { serial: [...last, ...this.#chat()] }];
    // Where two turns do not fit, the second question alone is asked.
    const fits = length(second) + this.#mostTokens <= this.#room;
    return { kind, questions: [fits ? { ...base, prompt: second } : base] };
  }

  #chat(): number[] {
    const content = makeTask(5, this.#random.int(0, 23), "heldout").prompt;
    return this.#model.chat([{ role: "user", content }]);
  }

  #script(prompt: readonly number[]): Question {
    const random = this.#random;
    const tokens = (n: number) => Array.from({ length: n }, () => random.pick(prompt));
    const script: StructureRun[] = [{ serial: [...prompt, ...tokens(random.int(0, 20))] }];
    for (let stage = random.int(0, 2); stage > 0; stage--) {
      const branches = random.int(2, 5);
      script.push(
        { serial: tokens(random.int(1, 8)) },
        { parallel: Array.from({ length: branches }, () => tokens(random.int(1, 24))) },
        { serial: tokens(random.int(1, 12)) },
      );
    }
    return { prompt, script };
  }
}

interface Soak {
  model: string;
  requests: number;
  clients: number;
  abort: number;
  kvMib: number;
  maxTokens: number;
  seed: number;
}

async function soak(options: Soak): Promise<SoakFigures> {
  const random = new Random(options.seed);
  const text = new TextModel(options.model);
  if (!text.dialect) throw new Error(`${options.model} has no dialect: nothing in it branches`);
  const alone = new Alone(options.model, text.dialect.opener.at(-1));
  const serving = new Serving({
    model: options.model,
    threads: 1,
    kvMib: options.kvMib,
    maxRunning: Math.ceil(options.clients / 2),
    validate: true,
  });
  const { kvTotal } = serving.engine.load();
  const { context, backend } = serving.engine.info();
  // A request may leave a block partly filled in each of its segments.
  const room = Math.min(context, kvTotal * 16 - 16 * 64);
  const questions = new Questions(random, text, alone, options.maxTokens, room);
  const figures: SoakFigures = {
    ...{ model: text.id, backend, requests: options.requests, seconds: 0 },
    kinds: { greedy: 0, seeded: 0, script: 0, second_turn: 0 },
    ended: { stop: 0, length: 0, cancelled: 0, deadline: 0 },
    aborted: { queued: 0, prefill: 0, serial: 0, fork: 0, branch: 0, join: 0 },
    ...{ preemptions: 0, prompt_tokens: 0, cached_tokens: 0 },
    kv: { total: kvTotal, free: 0, cached: 0 },
    ...{ compared: 0, distinct: 0, different: 0 },
  };

  say(`drawing ${options.requests} requests`);
  const groups: { question: Question; own: Random }[][] = [];
  for (let left = options.requests; left > 0; ) {
    const { kind, questions: drawn } = await questions.next();
    const group = drawn.slice(0, left);
    left -= group.length;
    figures.kinds[kind] += group.length;
    groups.push(group.map((question) => ({ question, own: new Random(random.int(0, 2 ** 31)) })));
  }

  say("asking them");
  const began = performance.now();
  const complete: { question: Question; said: string }[] = [];
  let begun = 0;
  const ask = async ({ question, own }: { question: Question; own: Random }) => {
    const heard = new Heard(question);
    // Many end before their moment comes: later ones make up for them.
    const lacking = (figures.ended.cancelled ?? 0) < (options.abort / 100) * ++begun;
    const moment = options.abort && own.chance(lacking ? 0.8 : 0.2) ? own.pick(moments) : undefined;
    // Not every answer comes to a fork: then it is aborted wherever it is.
    let patience = own.int(20, 80);
    let abortedIn: Moment | undefined;
    const abortAtMoment = () => {
      if (!moment || abortedIn || (heard.moment !== moment && --patience > 0)) return;
      abortedIn = heard.moment;
      serving.engine.cancel(asked.id);
    };
    const asked = serving.ask(
      {
        ...question,
        priority: own.pick([0, 0, 0, 1, -1]),
        cacheSalt: new Uint8Array(own.chance(0.9) ? [own.int(1, 3)] : []),
        deadlineMs: own.chance(0.03) ? own.int(1, 400) : 0,
      },
      (events) => {
        heard.hear(events);
        abortAtMoment();
      },
    );
    abortAtMoment();
    const word: FinishWord = finishWords[(await asked.end).reason] ?? "";
    figures.ended[word] = (figures.ended[word] ?? 0) + 1;
    if (abortedIn && word === "cancelled") figures.aborted[abortedIn]++;
    if (word === "stop" || word === "length") complete.push({ question, said: heard.said });
    const ended = Object.values(figures.ended).reduce((sum, n) => sum + n, 0);
    if (ended % 500 === 0) say(`  ${ended} ended`);
  };
  const queue = groups.values();
  const client = async () => {
    for (const group of queue) await Promise.all(group.map(ask));
  };
  await Promise.all(Array.from({ length: options.clients }, client));
  figures.seconds = Number(((performance.now() - began) / 1000).toFixed(1));

  const load: EngineLoad = serving.engine.load();
  figures.preemptions = load.preemptions;
  figures.prompt_tokens = load.promptTokens;
  figures.cached_tokens = load.cachedTokens;
  figures.kv = { total: load.kvTotal, free: load.kvFree, cached: load.kvCached };
  serving.engine.close();

  say(`comparing ${complete.length} answers`);
  for (const { question, said } of complete) {
    const expected = (await alone.answer(question)).said;
    figures.compared++;
    if (said === expected) continue;
    if (figures.different++ < 3) {
      say(
        `different: ${JSON.stringify(question)}\n--- alone\n${expected}\n--- in company\n${said}`,
      );
    }
  }
  figures.distinct = alone.distinct;
  alone.close();
  return figures;
}

export async function benchSoak(argv: string[]): Promise<void> {
  const { values } = parseArgs({
    args: argv,
    options: {
      model: { type: "string", default: "models/small" },
      requests: { type: "string", default: "5000" },
      clients: { type: "string", default: "48" },
      abort: { type: "string", default: "40" },
      "kv-mib": { type: "string", default: "5" },
      "max-tokens": { type: "string", default: "160" },
      seed: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return;
  }
  const figures = await soak({
    model: resolve(values.model),
    requests: whole("requests", values.requests, 1, 10_000_000),
    clients: whole("clients", values.clients, 1, 250),
    abort: whole("abort", values.abort, 0, 100),
    kvMib: whole("kv-mib", values["kv-mib"], 1, 1 << 20),
    maxTokens: whole("max-tokens", values["max-tokens"], 1, 1 << 20),
    seed: whole("seed", values.seed, 0, 2 ** 32 - 1),
  });
  process.stdout.write(values.json ? `${JSON.stringify(figures)}\n` : table(figures));
  if (figures.different > 0 || figures.kv.free !== figures.kv.total) process.exitCode = 1;
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
