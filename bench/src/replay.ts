// npm run bench -- replay: what branching would save on ordinary answers of other models.
import type { Dialect } from "@anabranch/gpu-worker/model/dialect.ts";
import { answerIds } from "@anabranch/gpu-worker/model/history.ts";
import { RunBuilder } from "@anabranch/gpu-worker/model/runs.ts";
import { TextModel } from "@anabranch/gpu-worker/model/text-model.ts";
import { type Dtype, dtypes, type EngineRequest, type StructureRun } from "@anabranch/native";
import { integer, oneOf, required } from "@anabranch/shared/cli/options.ts";
import type { AnswerPart } from "@anabranch/shared/parts.ts";
import { type Answer, readAnswers } from "@anabranch/training/pipeline/answers.ts";
import { cut, defaultMinAnswerTokens } from "@anabranch/training/pipeline/cut.ts";
import { readTokenizer } from "@anabranch/training/pipeline/tokenizer.ts";
import { EngineClient, tokenCount } from "./engine-client.ts";
import { randomCheckpoint } from "./random-checkpoint.ts";
import { round, say } from "./report.ts";
import { shapeNames, shapeOf } from "./shapes.ts";
import { defineSubject } from "./subject.ts";

const help = `npm run bench -- replay --data FILE [options]

FILE holds answers of other models, one {prompt, response} per line. The data pipeline finds their
parallel structure, and the engine decodes each answer in two ways: the tokens of the plain text
serially, and the same text in branches, which includes the cost of the plan, markers, openings, rejected
draft tokens, forks, joins and the prefill of the prompt. The text is scripted, so random weights in
the shape of a known model serve. There is one request at a time.

The speed-up in steps is the tokens of the plain text over the decode steps in branches. The speed-up in
wall-clock time is the time of the serial answer over that of the branching answer, both from
submission to the last token. The two ways alternate in which is decoded first.

An answer without structure counts as 1 and is not decoded. Its time, which enters the totals of all
answers, is its steps times the mean time of a serial step. With --all it is decoded too.

  --data FILE       JSONL; may also hold id, model and category
  --shape NAME      ${shapeNames.join(", ")} (default qwen2.5-0.5b)
  --dtype TYPE      ${dtypes.join(", ")} (default bf16)
  --device DEVICE   auto, cpu or cuda:N (default auto)
  --tokenizer DIR   a model with a dialect; its tokenizer, markers and separator are used, but not its
                    caps on titles and branches (default models/ordinary)
  --limit N         only the first N answers
  --runs N          decode every answer N times in both ways, one right after the other; the pair with
                    the median ratio counts (default 1)
  --all             also decode answers without structure
  --threads N       engine threads (default: one per core)
  --json            print one JSON value to stdout
`;

interface SpeedUp {
  /** Mean and largest ratio of single answers. */
  mean: number;
  max: number;
  /** Serial time (or steps) of all answers over branching time (or steps) of all answers. */
  total: number;
}

interface Figures {
  answers: number;
  parallel_answers: number;
  /** Of the parallel answers; null if there are none. */
  speedup: { wall: SpeedUp; steps: SpeedUp } | null;
  /** Of all answers. */
  speedup_all: { wall: SpeedUp; steps: SpeedUp } | null;
}

/** What the command prints with --json. */
export interface ReplayFigures extends Figures {
  data: string;
  model: { shape: string; dtype: string; backend: string };
  runs: number;
  /** Whether answers without structure were decoded, or their times derived. */
  unbranched: "decoded" | "derived";
  by_category: Record<string, Figures>;
}

/** A figure of the serial answer and of the branching one. */
interface BothWays {
  serial: number;
  branching: number;
}

interface Replayed {
  category: string;
  parallel: boolean;
  steps: BothWays;
  /** Seconds. */
  wall: BothWays;
}

/** `wall` is undefined if the answer was not decoded. */
type Decoded = Omit<Replayed, "wall"> & { wall: BothWays | undefined };

/** What the engine is to decode. */
type Script = Pick<EngineRequest, "scriptTitles"> & { script: StructureRun[] };

/** Makes scripts from answers. */
class ScriptBuilder {
  readonly #model: TextModel;
  readonly #dialect: Dialect;
  readonly #encode: (text: string) => number[];
  readonly #count: (text: string) => number;

  constructor(folder: string) {
    this.#model = new TextModel(folder);
    const tokenizer = readTokenizer(folder);
    this.#encode = tokenizer.encode;
    this.#count = tokenizer.count;
    if (!this.#model.dialect) throw new Error(`${folder} has no dialect (aspd.json)`);
    const unlimited = Number.MAX_SAFE_INTEGER;
    this.#dialect = this.#model.dialect.within({ titleTokens: unlimited, branchTokens: unlimited });
  }

  prompt({ prompt }: Answer): number[] {
    return this.#model.chat([{ role: "user", content: prompt }]);
  }

  serial(answer: Answer): Script {
    return { script: [{ serial: [...this.prompt(answer), ...this.#encode(answer.response)] }] };
  }

  /** Tokens of the answer, without its prompt: its serial decode steps. */
  tokens({ response }: Answer): number {
    return this.#count(response);
  }

  /** Undefined if the answer has no parallel structure. */
  branching(answer: Answer): Script | undefined {
    const rules = { count: this.#count, minAnswerTokens: defaultMinAnswerTokens };
    const { parts } = cut(answer.response, answer.prompt, rules);
    if (!parts.some((part) => "parallel" in part)) return undefined;
    const ids = answerIds(parts, this.#dialect, this.#encode);
    if (!ids) return undefined;
    const runs = new RunBuilder();
    runs.serial(this.prompt(answer));
    for (const part of ids) {
      if ("serial" in part) runs.serial(part.serial);
      else runs.stage(part.stage);
    }
    const openings = this.#openings(parts);
    const script = runs.runs.map((run) =>
      "parallel" in run ? { ...run, openings: openings.shift() ?? [] } : run,
    );
    return { script, scriptTitles: this.#dialect.titles };
  }

  /** Tokens of the opening of each branch, by stage. */
  #openings(parts: readonly AnswerPart[]): number[][] {
    const length = ({ title }: { title: string }, i: number) =>
      this.#dialect.opening(this.#encode(title), i + 1).length;
    return parts.flatMap((part) => ("parallel" in part ? [part.parallel.map(length)] : []));
  }
}

async function timed(client: EngineClient, prompt: readonly number[], asked: Script) {
  // The shape's vocabulary may be smaller than the tokenizer's.
  const { vocabulary } = client.engine.info();
  const fit = (ids: readonly number[]) => ids.map((id) => id % vocabulary);
  const script = asked.script.map((run) =>
    "serial" in run ? { serial: fit(run.serial) } : { ...run, parallel: run.parallel.map(fit) },
  );
  const { open = [], close = [] } = asked.scriptTitles ?? {};
  const scriptTitles = { open: fit(open), close: fit(close) };
  const request = { prompt: fit(prompt), script, scriptTitles };
  const began = performance.now();
  const { usage } = await client.submit(request).finished;
  return { seconds: (performance.now() - began) / 1000, steps: usage.steps };
}

/** Decodes answer number `i` serially and in branches. The order alternates. */
async function replay(
  client: EngineClient,
  scripts: ScriptBuilder,
  answer: Answer,
  i: number,
  { runs, all }: Settings,
): Promise<Decoded> {
  const { category } = answer;
  const serial = scripts.serial(answer);
  const branching = scripts.branching(answer);
  const parallel = branching !== undefined;
  if (!parallel && !all) {
    const tokens = scripts.tokens(answer);
    return { category, parallel, steps: { serial: tokens, branching: tokens }, wall: undefined };
  }
  const prompt = scripts.prompt(answer);
  const pairs: BothWays[] = [];
  const steps: BothWays = { serial: 0, branching: 0 };
  for (let run = 0; run < runs; run++) {
    const ways = [["serial", serial] as const, ["branching", branching] as const];
    const seconds: BothWays = { serial: 0, branching: 0 };
    for (const [way, script] of (i + run) % 2 === 0 ? ways : ways.reverse()) {
      if (!script) continue;
      const timing = await timed(client, prompt, script);
      seconds[way] = timing.seconds;
      steps[way] = timing.steps;
    }
    pairs.push(seconds);
  }
  const wall = medianPair(pairs);
  if (parallel) return { category, parallel, steps, wall };
  return {
    category,
    parallel,
    steps: { serial: steps.serial, branching: steps.serial },
    wall: { serial: wall.serial, branching: wall.serial },
  };
}

/** The pair with the median ratio: the machine's speed varies less within a pair than between pairs. */
function medianPair(pairs: readonly BothWays[]): BothWays {
  const ratio = ({ serial, branching }: BothWays) => (branching > 0 ? serial / branching : serial);
  const sorted = pairs.toSorted((a, b) => ratio(a) - ratio(b));
  return sorted[(sorted.length - 1) >> 1] as BothWays;
}

/** Gives answers that were not decoded a time: their steps at the mean time of a serial step. */
function withTimes(decoded: readonly Decoded[]): Replayed[] {
  const timed = decoded.filter(({ parallel }) => parallel);
  const seconds = timed.reduce((sum, { wall }) => sum + (wall?.serial ?? 0), 0);
  const steps = timed.reduce((sum, each) => sum + each.steps.serial, 0);
  // If nothing was decoded, all ratios are 1 with any time per step.
  const perStep = steps > 0 ? seconds / steps : 1;
  return decoded.map((each) => {
    const derived = each.steps.serial * perStep;
    return { ...each, wall: each.wall ?? { serial: derived, branching: derived } };
  });
}

function speedUp(of: readonly BothWays[]): SpeedUp {
  const ratios = of.map(({ serial, branching }) => serial / branching);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    mean: round(sum(ratios) / ratios.length),
    max: round(ratios.reduce((max, ratio) => Math.max(max, ratio), 0)),
    total: round(sum(of.map((each) => each.serial)) / sum(of.map((each) => each.branching))),
  };
}

function figures(all: readonly Replayed[]): Figures {
  const parallel = all.filter((each) => each.parallel);
  const both = (of: readonly Replayed[]) =>
    of.length === 0
      ? null
      : { wall: speedUp(of.map(({ wall }) => wall)), steps: speedUp(of.map(({ steps }) => steps)) };
  return {
    answers: all.length,
    parallel_answers: parallel.length,
    speedup: both(parallel),
    speedup_all: both(all),
  };
}

function table(f: ReplayFigures): string {
  const cells = (speed: SpeedUp | undefined) =>
    speed
      ? [speed.mean, speed.max, speed.total].map((value) => value.toFixed(2).padStart(8)).join("")
      : "       -".repeat(3);
  const row = (name: string, of: Figures) =>
    `${name.padEnd(16)}${String(of.answers).padStart(8)}${String(of.parallel_answers).padStart(9)}` +
    `${cells(of.speedup?.steps)} ${cells(of.speedup?.wall)}`;
  const rows = Object.entries(f.by_category)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, of]) => row(name, of));
  return `${f.data} in the shape of ${f.model.shape} on ${f.model.backend}
speed-ups of parallel answers, in steps and in wall-clock time: mean, best, of the totals
(medians of ${f.runs} pairs; times of answers without structure are ${f.unbranched})

${"category".padEnd(16)} answers parallel${"steps".padStart(24)} ${"wall clock".padStart(24)}
${rows.join("\n")}
${row("all", f)}
over all answers, parallel or not: ${cells(f.speedup_all?.steps)} ${cells(f.speedup_all?.wall)}
`;
}

interface Settings {
  data: string;
  shape: string;
  dtype: Dtype;
  device: string;
  tokenizer: string;
  limit: number;
  runs: number;
  /** Decode answers without structure too. */
  all: boolean;
  threads: number;
}

export const subject = defineSubject({
  help,
  options: {
    data: { type: "string" },
    shape: { type: "string", default: "qwen2.5-0.5b" },
    dtype: { type: "string", default: "bf16" },
    device: { type: "string", default: "auto" },
    tokenizer: { type: "string", default: "models/ordinary" },
    limit: { type: "string" },
    runs: { type: "string", default: "1" },
    all: { type: "boolean", default: false },
    threads: { type: "string", default: "0" },
  },
  async measure(values) {
    const { limit } = values;
    shapeOf(values.shape);
    return await measureReplay({
      data: required("data", values.data),
      shape: values.shape,
      dtype: oneOf("dtype", values.dtype, dtypes),
      device: values.device,
      tokenizer: values.tokenizer,
      limit: limit === undefined ? Infinity : integer("limit", limit, 1, 1_000_000),
      runs: integer("runs", values.runs, 1, 1000),
      all: values.all,
      threads: integer("threads", values.threads, 0, 1024),
    });
  },
  table,
});

async function measureReplay(settings: Settings): Promise<ReplayFigures> {
  const { data, shape, dtype, device, threads, limit, runs, all } = settings;
  const scripts = new ScriptBuilder(settings.tokenizer);
  const answers: Answer[] = [];
  for await (const answer of readAnswers(data)) {
    if (answers.length === limit) break;
    answers.push(answer);
  }
  const model = randomCheckpoint(shape);
  const client = new EngineClient({ model, dtype, device, threads });
  const { backend } = client.engine.info();
  say(`replaying ${answers.length} answers on ${backend}`);
  const decoded = await replayAll(client, scripts, answers, settings);
  client.engine.close();
  const replayed = withTimes(decoded);
  const categories = new Set(replayed.map(({ category }) => category));
  return {
    data,
    model: { shape, dtype, backend },
    runs,
    unbranched: all ? "decoded" : "derived",
    ...figures(replayed),
    by_category: Object.fromEntries(
      [...categories].map((name) => [
        name,
        figures(replayed.filter(({ category }) => category === name)),
      ]),
    ),
  };
}

/** Replays all answers that fit into the shape's context. */
async function replayAll(
  client: EngineClient,
  scripts: ScriptBuilder,
  answers: readonly Answer[],
  settings: Settings,
): Promise<Decoded[]> {
  const { context } = client.engine.info();
  const [first] = answers;
  // The first pass over the weights is slower than all later ones.
  if (first) await timed(client, scripts.prompt(first), scripts.serial(first));
  const decoded: Decoded[] = [];
  for (const [i, answer] of answers.entries()) {
    const tokens = tokenCount(scripts.serial(answer).script);
    if (tokens * 1.5 <= context) {
      decoded.push(await replay(client, scripts, answer, i, settings));
    }
    if ((i + 1) % 10 === 0) say(`  ${i + 1} of ${answers.length}`);
  }
  const skipped = answers.length - decoded.length;
  if (skipped > 0) say(`${skipped} answers are too long for the shape's context and were left out`);
  return decoded;
}
