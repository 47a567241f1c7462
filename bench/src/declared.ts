// npm run bench -- declared: many questions about one text, in one request with declared branches and in
// requests of their own.

import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { openTestCluster, type TestCluster } from "@anabranch/gateway/local/test-cluster.ts";
import { locateModel, modelHelp } from "@anabranch/gpu-worker/model/locate.ts";
import { TextModel } from "@anabranch/gpu-worker/model/text-model.ts";
import { dtypes } from "@anabranch/native";
import { integer, integers, oneOf } from "@anabranch/shared/cli/options.ts";
import { ask, type Server, type Task, type Way, ways } from "./declared-asking.ts";
import {
  type CaseFigures,
  caseFigures,
  type Measured,
  type Runs,
  type WayFigures,
} from "./declared-figures.ts";
import { computedTokens, LlamaServer, llamaServerVariable } from "./llama-server.ts";
import { columns, type Machine, say, thisMachine } from "./report.ts";
import { defineSubject } from "./subject.ts";

const help = `npm run bench -- declared [options]

Starts the gateway and a worker, and has questions about one text answered in three ways: by one request with
declared branches, by separate requests one after another, and by separate requests at once. Separate ones find the
text in the prefix cache. Every run has a text of its own, so that no run finds that of another. Answers are greedy
and all as long as --tokens says. If ${llamaServerVariable} names llama.cpp's llama-server and the model is a GGUF file,
its server is asked the same in the last two ways, at once only where that is not too much (--peer-tokens).

Figures: wall-clock time, time to the end of the first answer, prompt tokens computed.

  --model MODEL     ${modelHelp}
                    (default models/small, whose context is 1,024 tokens)
  --questions LIST  how many questions (default 2,8); all figures of the documentation: 2,8,16,64
  --context LIST    tokens of the text (default 500); all figures: 500,2000,8000
  --tokens N        tokens of each answer (default 32)
  --runs N          runs of each way (default 1)
  --threads N       engine threads (default: one per core)
  --dtype TYPE      ${dtypes.join(", ")} (default auto)
  --kv-mib N        memory for KV (default: the worker's)
  --peer-tokens N   ask llama.cpp's server at once where questions times context are at most this (default 20000); it
                    computes the text for each, and beyond answers later than a client waits
  --json            print one JSON value to stdout
`;

/** What the command prints with --json. */
export interface DeclaredFigures {
  machine: Machine;
  model: string;
  dtype: string;
  answer_tokens: number;
  runs: number;
  cases: CaseFigures[];
}

const options = {
  model: { type: "string", default: "models/small" },
  questions: { type: "string", default: "2,8" },
  context: { type: "string", default: "500" },
  tokens: { type: "string", default: "32" },
  runs: { type: "string", default: "1" },
  threads: { type: "string", default: String(availableParallelism()) },
  dtype: { type: "string", default: "auto" },
  "kv-mib": { type: "string" },
  "peer-tokens": { type: "string", default: "20000" },
} as const;

const words =
  "river stone market winter paper engine garden letter mountain window harbor silver".split(" ");

/** Makes texts: every one begins differently and has about as many tokens as it should. */
class Tasks {
  readonly #model: TextModel;
  #made = 0;

  constructor(model: TextModel) {
    this.#model = model;
  }

  make(questions: number, contextTokens: number): Task {
    const number = ++this.#made;
    const word = (i: number) => words[(number * 7 + i * i + 3 * i) % words.length] ?? "";
    const textOf = (count: number) => Array.from({ length: count }, (_, i) => word(i)).join(" ");
    const tokens = this.#model.tokens(textOf(contextTokens)).length;
    const text = textOf(Math.max(1, Math.round(contextTokens ** 2 / tokens)));
    return {
      context: `Text ${number}. ${text}`,
      questions: Array.from(
        { length: questions },
        (_, i) => `Question ${i + 1}: what of ${word(i)}?`,
      ),
    };
  }
}

interface Settings {
  model: string;
  questions: number[];
  context: number[];
  tokens: number;
  runs: number;
  threads: number;
  workerOptions: string[];
  peerTokens: number;
}

/** Prompt tokens that the cluster's worker has computed so far. */
async function prefilled(cluster: TestCluster): Promise<number> {
  const [row] = await cluster.pool();
  const metrics = await (await fetch(`${row?.url}/metrics`)).text();
  return Number(/^anabranch_prefill_tokens_total\{.*\} (\d+)$/m.exec(metrics)?.[1]);
}

/** The ids with which this model ends an answer, as far as its files or its tokenizer name them. */
function endTokens(model: TextModel): number[] {
  const named: unknown = model.generationConfig.eos_token_id;
  const usual = ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<end_of_turn>", "</s>"];
  const written = usual.map((text) => model.tokens(text)).filter((ids) => ids.length === 1);
  return [named, written].flat(3).filter((id) => typeof id === "number");
}

/** How one server is asked, one task in one way. */
type Asking = (way: Way, task: Task) => Promise<Measured>;

/** Asks each case in the ways that `asked` gives for its prompt tokens, alternately. */
async function runAll(
  { questions, context, runs }: Settings,
  tasks: Tasks,
  asked: (tokens: number) => readonly Way[],
  run: Asking,
): Promise<Runs[]> {
  // The first answers of a process are slower than all others, and so are the first that decode so many at once.
  for (const way of asked(0)) await run(way, tasks.make(2, 32));
  const together = asked(0).filter((way) => way !== "sequential");
  for (const count of questions) {
    for (const way of together) await run(way, tasks.make(count, 32));
  }
  const out: Runs[] = [];
  let made = 0;
  for (const tokens of context) {
    for (const count of questions) {
      say(`  ${count} questions over ${tokens} tokens`);
      const measured: Runs = {};
      for (let i = 0; i < runs; i++) {
        const task = tasks.make(count, tokens);
        // Each way is the first as often.
        const first = made++ % ways.length;
        const order = [...ways.slice(first), ...ways.slice(0, first)];
        for (const way of order.filter((each) => asked(count * tokens).includes(each))) {
          const one = await run(way, task);
          say(`    ${way}: ${(one.ms / 1000).toFixed(2)} s`);
          measured[way] = [...(measured[way] ?? []), one];
        }
      }
      out.push(measured);
    }
  }
  return out;
}

/** The gateway and a worker with the model. */
async function measureHere(settings: Settings, model: TextModel): Promise<Runs[]> {
  say("here: starting the gateway and a worker");
  const cluster = await openTestCluster();
  try {
    const worker = ["--model", settings.model, "--model-id", "bench", ...settings.workerOptions];
    await cluster.addWorker("bench", worker);
    const logit_bias = Object.fromEntries(endTokens(model).map((id) => [id, -100]));
    // Each way is a tenant of its own, because tenants share no KV.
    const keys = new Map<Way, string>();
    for (const way of ways) keys.set(way, await cluster.key(way));
    const serverOf = (way: Way): Server => ({
      url: cluster.url,
      headers: { authorization: `Bearer ${keys.get(way)}` },
      fields: {
        ...{ model: "bench", temperature: 0, max_tokens: settings.tokens, logit_bias },
        anabranch: { mode: "serial", cache: "bypass" },
      },
    });
    return await runAll(
      settings,
      new Tasks(model),
      () => ways,
      async (way, task) => {
        const before = await prefilled(cluster);
        const run = await ask(way, serverOf(way), task);
        return { ...run, computed: (await prefilled(cluster)) - before };
      },
    );
  } finally {
    await cluster.close();
  }
}

/** llama.cpp's server with the same file. */
async function measurePeer(program: string, settings: Settings, model: TextModel): Promise<Runs[]> {
  say("llama.cpp: starting its server");
  const slots = Math.max(...settings.questions);
  const { threads, tokens } = settings;
  // Every slot may hold the text for itself.
  const context = slots * (Math.max(...settings.context) + tokens + 128);
  const server = await LlamaServer.start(program, settings.model, { slots, context, threads });
  const fields = { temperature: 0, max_tokens: tokens, ignore_eos: true };
  try {
    const asked = (tokens: number) =>
      tokens > settings.peerTokens
        ? (["sequential"] as const)
        : (["sequential", "concurrent"] as const);
    return await runAll(settings, new Tasks(model), asked, async (way, task) => {
      let computed = 0;
      // It has one cache for all: the ways have texts that begin differently.
      const own = { ...task, context: `${way}. ${task.context}` };
      const run = await ask(way, { url: server.url, headers: {}, fields }, own, (chunk) => {
        computed += computedTokens(chunk) ?? 0;
      });
      return { ...run, computed };
    });
  } finally {
    await server.stop();
  }
}

const seconds = (figures: WayFigures | undefined) => figures?.seconds.toFixed(2) ?? "–";
const ratio = (value: number) => `${value.toFixed(2)}×`;

function table({ model, dtype, answer_tokens, machine, cases }: DeclaredFigures): string {
  const head = [
    ...[
      "questions",
      "context",
      "declared",
      "in turn",
      "at once",
      "/ in turn",
      "/ at once",
      "equal",
    ],
    ...["computed", "in turn", "at once", "llama.cpp", "at once"],
  ];
  const rows = cases.map(({ questions, context, here, llama_cpp, ...of }) => [
    ...[String(questions), String(context)],
    ...ways.map((way) => seconds(here[way])),
    ...[ratio(of.over_sequential), ratio(of.over_concurrent), of.equal ? "yes" : "NO"],
    ...ways.map((way) => String(here[way]?.computed_tokens ?? "–")),
    ...[seconds(llama_cpp?.sequential), seconds(llama_cpp?.concurrent)],
  ]);
  return `${model}, ${dtype}, answers of ${answer_tokens} tokens, ${machine.threads} engine threads
One request with declared branches, and separate ones in turn or at once: seconds, their ratio to the one request,
whether the answers are equal, prompt tokens computed; llama.cpp's server: seconds of separate requests

${columns([head, ...rows]).join("\n")}
`;
}

export const subject = defineSubject({
  help,
  options,
  async measure(values): Promise<DeclaredFigures> {
    const { path, format } = await locateModel(values.model);
    const model = await TextModel.open({ path, format, name: basename(path) });
    const kvMib = values["kv-mib"];
    const threads = integer("threads", values.threads, 1, 1024);
    const dtype = oneOf("dtype", values.dtype, dtypes);
    const settings: Settings = {
      model: path,
      questions: integers("questions", values.questions, 2, 64),
      context: integers("context", values.context, 1, 1 << 20),
      tokens: integer("tokens", values.tokens, 1, 1 << 20),
      runs: integer("runs", values.runs, 1, 1000),
      threads,
      peerTokens: integer("peer-tokens", values["peer-tokens"], 0),
      workerOptions: [
        ...["--threads", String(threads), "--dtype", dtype],
        ...(kvMib === undefined ? [] : ["--kv-mib", String(integer("kv-mib", kvMib, 1))]),
      ],
    };
    const program = process.env[llamaServerVariable];
    const here = await measureHere(settings, model);
    const peer = program && format === "gguf" ? await measurePeer(program, settings, model) : null;
    const cases = settings.context.flatMap((context) =>
      settings.questions.map((questions) => ({ context, questions })),
    );
    return {
      machine: thisMachine(threads),
      ...{ model: basename(path), dtype, answer_tokens: settings.tokens, runs: settings.runs },
      cases: cases.map(({ questions, context }, i) =>
        caseFigures(questions, context, here[i] ?? {}, peer?.[i] ?? null),
      ),
    };
  },
  table,
});
