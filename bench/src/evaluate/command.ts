// What `npm run evaluate` takes, does and prints.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname } from "node:path";
import { modelHelp } from "@anabranch/gpu-worker/model/locate.ts";
import { dtypes } from "@anabranch/native";
import { decimal, integer, oneOf, UsageError } from "@anabranch/shared/cli/options.ts";
import { sameFrom } from "@anabranch/training/pipeline/repetition.ts";
import { modes } from "../chat-client.ts";
import { type Machine, say, thisMachine } from "../report.ts";
import { defineSubject } from "../subject.ts";
import { byCategory, type Figures, figuresOf } from "./figures.ts";
import { type Judged, judge, scoreRows } from "./judge.ts";
import { openScorer } from "./likelihood.ts";
import { blindKey, type Key, pageOf } from "./page.ts";
import { type Pair, PairFile, readPairs, type Side, type SideSettings } from "./pairs.ts";
import { answerPairs, type ServeOptions } from "./serve.ts";
import { readSuite, suiteNames } from "./suites.ts";
import { figuresText } from "./table.ts";
import { worstOf } from "./worst.ts";

/** The demo: a base and the adapter that branches. */
const demo = JSON.parse(
  readFileSync(new URL("../../../models/demo/demo.json", import.meta.url), "utf8"),
) as { model: string; adapter: string; autoThreshold: number };

const help = `npm run evaluate -- [options]

Two models, or one in two modes, answer the same prompts in one run: through the gateway and real workers,
each prompt to both in turn, with the gateway's cache bypassed. Prints time, decode steps, coverage, length,
repetition, and as far as it is known whether the answers are right, each as a mean with its 95% interval.
docs/evaluate.md says what each figure means.

  --model MODEL      ${modelHelp}
                     (default the demo's, with its adapter)
  --mode MODE        its anabranch.mode: ${modes.join(", ")} (default auto)
  --adapter PATH     a LoRA adapter for it, a folder or hf:OWNER/NAME
  --against MODEL    what it is compared with (default: the same model and adapter, in one process)
  --against-mode M   its mode (default serial)
  --against-adapter PATH
  --suite SUITE      ${suiteNames.join(", ")}, or a JSONL file with "prompt" a line
                     (and "id", "category", "instruction_id_list" with "kwargs", "claims") (default rag)
  --data FOLDER      where the files of vicuna, ifeval and mt-bench are (default ../shared/data)
  --limit N          prompts, at most, from all over a file (default: all, 100 of rag and maths)
  --temperature T    default 0
  --max-tokens N     completion tokens of an answer, at most (default 512)
  --seed N           of sampling, of rag and maths, and of the order of --blind (default 1)
  --concurrency N    prompts at once (default 1: times are those of a client that is alone)
  --dtype TYPE       of the weights: ${dtypes.join(", ")} (default auto)
  --device DEVICE    auto, cpu or cuda:N (default auto)
  --threads N        engine threads per worker (default: all cores but one, as a worker has)
  --outline-continue P, --outline-surprise X   thresholds of a stock model's outlines, as of a worker
  --auto-threshold X from which probability on auto is parallel, as of a worker (default: the demo's, of another model the gateway's)
  --under MODEL      an instruct model that scores the answers: log-likelihood per token
  --out FILE         keep the answers as JSONL; a run that was interrupted goes on from them
  --answers FILE     judge the answers of such a file in place of new ones
  --scores FILE      write the measures of each answer as JSONL
  --page FILE        write the pairs as an HTML page, side by side
  --blind            on that page, A and B in random order; the key is in the JSON
  --json             print one JSON value to stdout
`;

/** What the command prints with --json. */
export interface Evaluation extends Figures {
  machine: Machine;
  /** What was asked: the suite's name or file; null for answers from a file. */
  suite: string | null;
  sides: Record<Side, SideSettings> | null;
  settings: { temperature: number; max_tokens: number; seed: number; concurrency: number } | null;
  /** The model that scored likelihoods. */
  under: string | null;
  /** From which overlap of words two items say the same. */
  same_items_from: number;
  categories: Record<string, Figures>;
  /** With --blind: which side stands left, by prompt. */
  key?: Key;
}

const options = {
  model: { type: "string" },
  mode: { type: "string", default: "auto" },
  adapter: { type: "string" },
  against: { type: "string" },
  "against-mode": { type: "string", default: "serial" },
  "against-adapter": { type: "string" },
  suite: { type: "string" },
  data: { type: "string", default: "../shared/data" },
  limit: { type: "string" },
  temperature: { type: "string", default: "0" },
  "max-tokens": { type: "string", default: "512" },
  seed: { type: "string", default: "1" },
  concurrency: { type: "string", default: "1" },
  dtype: { type: "string", default: "auto" },
  device: { type: "string", default: "auto" },
  threads: { type: "string", default: String(Math.max(1, availableParallelism() - 1)) },
  "outline-continue": { type: "string" },
  "outline-surprise": { type: "string" },
  "auto-threshold": { type: "string" },
  under: { type: "string" },
  out: { type: "string" },
  answers: { type: "string" },
  scores: { type: "string" },
  page: { type: "string" },
  blind: { type: "boolean", default: false },
} as const;

type Values = Parameters<
  Parameters<typeof defineSubject<typeof options, Evaluation>>[0]["measure"]
>[0];

function sidesOf(values: Values): Record<Side, SideSettings> {
  const side = (name: string, mode: string, model: string, adapter?: string): SideSettings => ({
    model,
    ...(adapter !== undefined && { adapter }),
    mode: oneOf(name, mode, modes),
  });
  const own = values.model === undefined ? { adapter: demo.adapter, ...values } : values;
  const model = side("mode", values.mode, values.model ?? demo.model, own.adapter);
  const adapter = values["against-adapter"] ?? (values.against ? undefined : own.adapter);
  const other = values.against ?? model.model;
  return { model, against: side("against-mode", values["against-mode"], other, adapter) };
}

/** Options of the workers: at which probabilities a stock model branches, and `auto` is parallel. */
function thresholdsOf(values: Values): { thresholds?: string[] } {
  const own = values.model === undefined ? { "auto-threshold": String(demo.autoThreshold) } : {};
  const given = { ...own, ...values };
  const options = (["outline-continue", "outline-surprise", "auto-threshold"] as const).flatMap(
    (name) => {
      const value = given[name];
      return value === undefined ? [] : [`--${name}`, value];
    },
  );
  return options.length > 0 ? { thresholds: options } : {};
}

const serveOptionsOf = (values: Values): ServeOptions => ({
  sides: sidesOf(values),
  temperature: decimal("temperature", values.temperature, 0, 2),
  maxTokens: integer("max-tokens", values["max-tokens"], 1, 1_000_000),
  seed: integer("seed", values.seed, 0, 2 ** 31 - 1),
  dtype: oneOf("dtype", values.dtype, dtypes),
  device: values.device,
  threads: integer("threads", values.threads, 1, 1024),
  concurrency: integer("concurrency", values.concurrency, 1, 1024),
  ...thresholdsOf(values),
});

/** The pairs of the suite in its order: those that --out holds already, and new ones. */
async function newPairs(suite: string, values: Values, serving: ServeOptions): Promise<Pair[]> {
  const limit =
    values.limit === undefined ? undefined : integer("limit", values.limit, 1, 1_000_000);
  const { sides, temperature, maxTokens, seed, thresholds } = serving;
  const questions = await readSuite(suite, { data: values.data, seed, ...(limit && { limit }) });
  const settings = { sides, temperature, maxTokens, seed, ...(thresholds && { thresholds }) };
  const file = new PairFile(values.out, settings);
  const kept = await file.open();
  const missing = questions.filter(({ id }) => !kept.has(id));
  if (kept.size > 0) say(`${questions.length - missing.length} pairs are in ${values.out}`);
  const made = await answerPairs(missing, serving, file);
  const all = new Map([...kept, ...made.map((pair) => [pair.question.id, pair] as const)]);
  return questions.flatMap(({ id }) => all.get(id) ?? []);
}

async function judgeAll(pairs: readonly Pair[], values: Values): Promise<Judged[]> {
  const { under, device, dtype, threads } = values;
  if (under !== undefined) say(`scoring with ${under}`);
  const scorer =
    under === undefined
      ? undefined
      : await openScorer(under, {
          dtype: oneOf("dtype", dtype, dtypes),
          device,
          threads: integer("threads", threads, 1, 1024),
        });
  try {
    const judged: Judged[] = [];
    for (const pair of pairs) judged.push(await judge(pair, scorer?.score));
    return judged;
  } finally {
    scorer?.close();
  }
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  say(`wrote ${path}`);
}

const nameOf = ({ model, adapter, mode }: SideSettings): string =>
  `${basename(model)}${adapter === undefined ? "" : ` with ${basename(adapter)}`}, ${mode}`;

async function evaluate(values: Values): Promise<Evaluation> {
  const { answers, under = null } = values;
  if (answers !== undefined && values.suite !== undefined) {
    throw new UsageError("--answers holds its own prompts; leave --suite out");
  }
  if (answers !== undefined && values.out !== undefined) {
    throw new UsageError("--out is for new answers; --answers has them already");
  }
  if (values.blind && values.page === undefined) throw new UsageError("--blind needs --page");
  const serving = serveOptionsOf(values);
  const suite = values.suite ?? "rag";
  const pairs =
    answers === undefined ? await newPairs(suite, values, serving) : await readPairs(answers);
  const judged = await judgeAll(pairs, values);
  const figures = figuresOf(judged);
  if (values.scores !== undefined) {
    const lines = judged.flatMap(scoreRows).map((row) => `${JSON.stringify(row)}\n`);
    write(values.scores, lines.join(""));
  }
  const { sides, temperature, maxTokens: max_tokens, seed, concurrency } = serving;
  const key = values.blind ? blindKey(pairs, seed) : undefined;
  if (values.page !== undefined) {
    const names =
      answers === undefined
        ? { model: nameOf(sides.model), against: nameOf(sides.against) }
        : { model: "model", against: "against" };
    write(values.page, pageOf(pairs, { names, figures, worst: worstOf(judged), key }));
  }
  const made = answers === undefined;
  return {
    machine: thisMachine(serving.threads),
    suite: made ? suite : null,
    sides: made ? sides : null,
    settings: made ? { temperature, max_tokens, seed, concurrency } : null,
    ...{ under, same_items_from: sameFrom },
    ...figures,
    categories: byCategory(judged),
    ...(key && { key }),
  };
}

export const subject = defineSubject({
  help,
  options,
  measure: evaluate,
  table: ({ sides, suite, under, categories, ...figures }) =>
    `${sides ? `model: ${nameOf(sides.model)}; against: ${nameOf(sides.against)}; suite: ${suite}` : "answers of a file"}${under === null ? "" : `; likelihood under ${basename(under)}`}
${figuresText(figures, categories)}`,
});
