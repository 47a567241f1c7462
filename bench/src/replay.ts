// npm run bench -- replay: what branching would save on ordinary answers of other models.
import { parseArgs } from "node:util";
import type { Dialect } from "@anabranch/gpu-worker/model/dialect.ts";
import { answerIds } from "@anabranch/gpu-worker/model/history.ts";
import { RunBuilder } from "@anabranch/gpu-worker/model/runs.ts";
import { TextModel } from "@anabranch/gpu-worker/model/text-model.ts";
import { dtypeOf, dtypes, type EngineRequest, type StructureRun } from "@anabranch/native";
import { type Answer, readAnswers } from "@anabranch/training/pipeline/answers.ts";
import { cut, ordinaryAnswer, type Part } from "@anabranch/training/pipeline/parts.ts";
import { readTokenizer } from "@anabranch/training/pipeline/tokens.ts";
import { whole } from "./arguments.ts";
import { Serving } from "./serving.ts";
import { shapeFolder, shapes } from "./shapes.ts";

const help = `npm run bench -- replay --data FILE [options]

Answers of other models, one {prompt, response} a line. The data pipeline finds their parallel structure,
and the engine decodes each one after the other: the plain text's tokens serially, and the same text in
branches, paying for the plan, markers, openings, wrong guesses, forks, joins and the prompt's prefill. What
is written is given, so that random weights in a known model's shape serve. One request at a time.

The speed-up in steps is the plain text's tokens over the decode steps in branches; in wall-clock time it
is the time of the serial answer over that of the branching one, both from submitting to the last token.
Which of the two is decoded first changes from answer to answer and from run to run.

An answer without structure counts as 1. It isn't decoded: its time, which weighs in the totals of all
answers, is its steps times what a serial step of the others took on average. --all decodes these as well.

  --data FILE       JSONL, with id, model and category where known
  --shape NAME      ${Object.keys(shapes).join(", ")} (default qwen2.5-0.5b)
  --dtype TYPE      ${dtypes.join(", ")} (default bf16)
  --device DEVICE   auto, cpu or cuda:N (default auto)
  --tokenizer DIR   a model with a dialect: its tokenizer, markers and separator are used, its caps on the
                    length of titles and branches are not (default models/ordinary)
  --limit N         the first N answers only
  --runs N          decode every answer N times in both ways, one right after the other; of these pairs the one
                    with the median ratio counts (default 1)
  --all             decode answers without structure too
  --threads N       threads of the engine (default: one a core)
  --json            one JSON value on stdout
`;

interface SpeedUp {
  /** Of single answers. */
  mean: number;
  max: number;
  /** Of all their serial time (or steps) over all their branching time (or steps). */
  total: number;
}

interface Figures {
  answers: number;
  parallel_answers: number;
  /** Over parallel answers; null where there are none. */
  speedup: { wall: SpeedUp; steps: SpeedUp } | null;
  speedup_all: { wall: SpeedUp; steps: SpeedUp } | null;
}

/** What the command prints with --json. */
export interface ReplayFigures extends Figures {
  data: string;
  model: { shape: string; dtype: string; backend: string };
  runs: number;
  /** Where the times of answers without structure come from. */
  unbranched: "decoded" | "derived";
  by_category: Record<string, Figures>;
}

interface Sides {
  serial: number;
  branching: number;
}

interface Replayed {
  category: string;
  parallel: boolean;
  steps: Sides;
  /** Seconds. */
  wall: Sides;
}

/** Without times where it was not decoded. */
type Decoded = Omit<Replayed, "wall"> & { wall: Sides | undefined };

const say = (line: string) => process.stderr.write(`${line}\n`);

/** What the engine is to decode. */
type Script = Pick<EngineRequest, "scriptTitles"> & { script: StructureRun[] };

/** Turns answers into what the engine is to decode. */
class Scripts {
  readonly #model: TextModel;
  readonly #encode: (text: string) => number[];
  readonly #count: (text: string) => number;

  constructor(folder: string) {
    this.#model = new TextModel(folder);
    const tokenizer = readTokenizer(folder);
    this.#encode = tokenizer.encode;
    this.#count = tokenizer.count;
    if (!this.#model.dialect) throw new Error(`${folder} has no dialect (aspd.json)`);
  }

  prompt({ prompt }: Answer): number[] {
    return this.#model.chat([{ role: "user", content: prompt }]);
  }

  serial(answer: Answer): Script {
    return { script: [{ serial: [...this.prompt(answer), ...this.#encode(answer.response)] }] };
  }

  /** Of the answer alone: its serial decode steps. */
  tokens({ response }: Answer): number {
    return this.#count(response);
  }

  /** Nothing where the answer has no parallel structure. */
  branching(answer: Answer): Script | undefined {
    const { parts } = cut(answer.response, answer.prompt, {
      count: this.#count,
      answer: ordinaryAnswer,
    });
    if (!this.#model.dialect || !parts.some((part) => "parallel" in part)) return undefined;
    const most = Number.MAX_SAFE_INTEGER;
    const dialect = this.#model.dialect.within({ titleTokens: most, branchTokens: most });
    const ids = answerIds(parts, dialect, this.#encode);
    if (!ids) return undefined;
    const runs = new RunBuilder();
    runs.serial(this.prompt(answer));
    for (const part of ids) {
      if ("serial" in part) runs.serial(part.serial);
      else runs.stage(part.stage);
    }
    const openings = this.#openings(parts, dialect);
    const script = runs.runs.map((run) =>
      "parallel" in run ? { ...run, openings: openings.shift() ?? [] } : run,
    );
    return { script, scriptTitles: dialect.titles };
  }

  /** How many tokens open each branch of each stage. */
  #openings(parts: readonly Part[], dialect: Dialect): number[][] {
    const length = ({ title }: { title: string }, i: number) =>
      dialect.opening(this.#encode(title), i + 1).length;
    return parts.flatMap((part) => ("parallel" in part ? [part.parallel.map(length)] : []));
  }
}

async function timed(serving: Serving, prompt: readonly number[], asked: Script) {
  // The tokenizer's ids as ids of the shape, which may know fewer.
  const { vocabulary } = serving.engine.info();
  const fit = (ids: readonly number[]) => ids.map((id) => id % vocabulary);
  const script = asked.script.map((run) =>
    "serial" in run ? { serial: fit(run.serial) } : { ...run, parallel: run.parallel.map(fit) },
  );
  const { open = [], close = [] } = asked.scriptTitles ?? {};
  const scriptTitles = { open: fit(open), close: fit(close) };
  const fitting = { prompt: fit(prompt), script, scriptTitles };
  const began = performance.now();
  const { usage } = await serving.ask(fitting).end;
  return { seconds: (performance.now() - began) / 1000, steps: usage.steps };
}

interface Way {
  runs: number;
  /** Decode answers without structure too. */
  all: boolean;
}

/** Answer number `i`, decoded serially and in branches, which of them first taking turns. */
async function replay(
  serving: Serving,
  scripts: Scripts,
  answer: Answer,
  i: number,
  { runs, all }: Way,
): Promise<Decoded> {
  const prompt = scripts.prompt(answer);
  const serial = scripts.serial(answer);
  const branching = scripts.branching(answer);
  const { category } = answer;
  if (!branching && !all) {
    const tokens = scripts.tokens(answer);
    return {
      category,
      parallel: false,
      steps: { serial: tokens, branching: tokens },
      wall: undefined,
    };
  }
  const pairs: Sides[] = [];
  const steps: Sides = { serial: 0, branching: 0 };
  for (let run = 0; run < runs; run++) {
    const order =
      (i + run) % 2 === 0 ? (["serial", "branching"] as const) : (["branching", "serial"] as const);
    const seconds: Sides = { serial: 0, branching: 0 };
    for (const side of order) {
      if (side === "branching" && !branching) continue;
      const timing = await timed(
        serving,
        prompt,
        side === "branching" && branching ? branching : serial,
      );
      seconds[side] = timing.seconds;
      steps[side] = timing.steps;
    }
    pairs.push(seconds);
  }
  // The machine may change its speed from pair to pair, less often within one.
  const ratio = ({ serial, branching }: Sides) => (branching > 0 ? serial / branching : serial);
  const sorted = pairs.toSorted((a, b) => ratio(a) - ratio(b));
  const wall = sorted[(sorted.length - 1) >> 1] as Sides;
  if (branching) return { category, parallel: true, steps, wall };
  return {
    category,
    parallel: false,
    steps: { serial: steps.serial, branching: steps.serial },
    wall: { serial: wall.serial, branching: wall.serial },
  };
}

/** Gives answers that were not decoded the time that their steps take in the others' serial decoding. */
function withTimes(decoded: readonly Decoded[]): Replayed[] {
  const timed = decoded.filter(({ parallel }) => parallel);
  const seconds = timed.reduce((sum, { wall }) => sum + (wall?.serial ?? 0), 0);
  const steps = timed.reduce((sum, each) => sum + each.steps.serial, 0);
  // Where nothing was decoded all ratios are 1, whatever a step takes.
  const perStep = steps > 0 ? seconds / steps : 1;
  return decoded.map((each) => {
    const derived = each.steps.serial * perStep;
    return { ...each, wall: each.wall ?? { serial: derived, branching: derived } };
  });
}

const round = (value: number) => Number(value.toFixed(3));

function speedUp(of: readonly { serial: number; branching: number }[]): SpeedUp {
  const ratios = of.map(({ serial, branching }) => serial / branching);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    mean: round(sum(ratios) / ratios.length),
    max: round(ratios.reduce((most, ratio) => Math.max(most, ratio), 0)),
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

export async function benchReplay(argv: string[]): Promise<void> {
  const { values } = parseArgs({
    args: argv,
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
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return;
  }
  const { data } = values;
  if (data === undefined) throw new Error("--data is needed; see --help");
  const shape = Object.hasOwn(shapes, values.shape) ? shapes[values.shape] : undefined;
  if (!shape)
    throw new Error(`unknown shape ${values.shape}; known: ${Object.keys(shapes).join(", ")}`);
  const dtype = dtypeOf(values.dtype);
  if (!dtype) throw new Error(`--dtype is one of ${dtypes.join(", ")}`);
  const limit =
    values.limit === undefined
      ? Number.POSITIVE_INFINITY
      : whole("limit", values.limit, 1, 1_000_000);
  const threads = whole("threads", values.threads, 0, 1024);
  const way: Way = { runs: whole("runs", values.runs, 1, 1000), all: values.all };

  const scripts = new Scripts(values.tokenizer);
  const answers: Answer[] = [];
  for await (const answer of readAnswers(data)) {
    if (answers.length === limit) break;
    answers.push(answer);
  }
  const folder = shapeFolder(values.shape, shape, say);
  const serving = new Serving({ model: folder, dtype, device: values.device, threads });
  const { backend, context } = serving.engine.info();
  say(`replaying ${answers.length} answers on ${backend}`);
  const [first] = answers;
  // The first pass over the weights is slower than all that follow.
  if (first) await timed(serving, scripts.prompt(first), scripts.serial(first));
  const decoded: Decoded[] = [];
  let skipped = 0;
  for (const [i, answer] of answers.entries()) {
    const tokens = scripts
      .serial(answer)
      .script.flatMap((run) => ("serial" in run ? run.serial : []));
    if (tokens.length * 1.5 > context) skipped++;
    else decoded.push(await replay(serving, scripts, answer, i, way));
    if ((i + 1) % 10 === 0) say(`  ${i + 1} of ${answers.length}`);
  }
  serving.engine.close();
  if (skipped > 0) say(`${skipped} answers are too long for the shape's context and were left out`);
  const replayed = withTimes(decoded);
  const categories = new Set(replayed.map(({ category }) => category));
  const result: ReplayFigures = {
    data,
    model: { shape: values.shape, dtype, backend },
    runs: way.runs,
    unbranched: way.all ? "decoded" : "derived",
    ...figures(replayed),
    by_category: Object.fromEntries(
      [...categories].map((name) => [
        name,
        figures(replayed.filter(({ category }) => category === name)),
      ]),
    ),
  };
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : table(result));
}
