// npm run bench -- quality: what a branching model answers, and whether it branches where it should.
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { TextModel } from "@anabranch/gpu-worker/model/text_model.ts";
import { type EngineEvent, type EngineUsage, openEngine } from "@anabranch/native";
import { makeTask } from "@anabranch/training/tasks/catalogue.ts";
import { check, type Task } from "@anabranch/training/tasks/task.ts";
import { whole } from "./arguments.ts";

const help = `npm run bench -- quality [options]

Asks a model the held-out tasks of the demo's generator, greedily, once with branches allowed and once
in serial mode, through the engine as it serves. An answer is right when the task's verifier says so.
A model should branch on the tasks whose answers have independent parts, and on no others. The speed-up
in steps is the answer's text, tokenized in one piece, over the decode steps it took; it is given over
the parallel tasks that were answered rightly.

  --model DIR     a model that knows the generator's tasks (default models/demo)
  --tasks N       held-out tasks (default 1000)
  --seed N        which ones (default 1)
  --max-tokens N  completion tokens of one answer (default 480)
  --json          one JSON value on stdout
`;

interface Answer {
  text: string;
  usage: EngineUsage;
}

interface FamilyFigures {
  tasks: number;
  parallel: boolean;
  serial_accuracy: number;
  parallel_accuracy: number;
  branched: number;
}

/** What the command prints with --json. */
export interface QualityFigures {
  model: string;
  tasks: number;
  serial: { accuracy: number };
  parallel: { accuracy: number };
  trigger: { precision: number; recall: number };
  speedup: { steps: { mean: number; max: number } };
  families: Record<string, FamilyFigures>;
}

const say = (line: string) => process.stderr.write(`${line}\n`);

/** The visible ids of one answer in document order. */
class Visible {
  readonly #runs: { lane: number; ids: number[] }[] = [{ lane: 0, ids: [] }];
  usage: EngineUsage | undefined;

  take(event: EngineEvent): void {
    if (event.kind === "stageOpened") {
      for (const { lane } of event.lanes) this.#runs.push({ lane, ids: [] });
    } else if (event.kind === "stageClosed") {
      this.#runs.push({ lane: 0, ids: [] });
    } else if (event.kind === "token" && event.token.visible) {
      this.#runs.findLast(({ lane }) => lane === event.lane)?.ids.push(event.token.id);
    } else if (event.kind === "finished") {
      this.usage = event.usage;
    }
  }

  text(model: TextModel): string {
    return this.#runs.map(({ ids }) => model.decode(ids)).join("");
  }
}

/** Every task answered, in one engine run; results do not depend on the company. */
async function answers(
  folder: string,
  model: TextModel,
  tasks: readonly Task[],
  parallel: boolean,
  maxTokens: number,
): Promise<Answer[]> {
  const open = tasks.map(() => new Visible());
  const { promise, resolve: done, reject } = Promise.withResolvers<void>();
  let left = tasks.length;
  const engine = openEngine(
    { model: folder, maxQueue: tasks.length + 1 },
    (events) => {
      for (const [id, list] of events) {
        for (const event of list) {
          open[id]?.take(event);
          if (event.kind !== "finished") continue;
          left--;
          if (left % 100 === 0) say(`  ${left} left`);
          if (left === 0) done();
        }
      }
    },
    (message) => reject(new Error(message)),
  );
  tasks.forEach(({ prompt }, id) => {
    const ids = model.chat([{ role: "user", content: prompt }]);
    engine.submit({ id, prompt: ids, parallel, maxTokens });
  });
  await promise;
  engine.close();
  return open.map((answer) => {
    if (!answer.usage) throw new Error("an answer has no end");
    return { text: answer.text(model), usage: answer.usage };
  });
}

const share = (count: number, of: number) => (of === 0 ? Number.NaN : count / of);

function figures(
  folder: string,
  model: TextModel,
  tasks: readonly Task[],
  serial: readonly Answer[],
  parallel: readonly Answer[],
): QualityFigures {
  const rows = tasks.map((task, i) => {
    const [a, b] = [serial[i], parallel[i]];
    if (!a || !b) throw new Error("an answer is missing");
    return {
      task,
      serialRight: check(task.claims, a.text),
      parallelRight: check(task.claims, b.text),
      branched: b.usage.stages > 0,
      speedUp: model.text(b.text).length / b.usage.steps,
    };
  });
  const count = (
    of: readonly (typeof rows)[number][],
    is: (row: (typeof rows)[number]) => boolean,
  ) => of.filter(is).length;
  const right = rows.filter(({ task, parallelRight }) => task.parallel && parallelRight);
  const hits = count(rows, (row) => row.branched && row.task.parallel);
  const families: Record<string, FamilyFigures> = {};
  for (const family of new Set(tasks.map((task) => task.family))) {
    const own = rows.filter(({ task }) => task.family === family);
    families[family] = {
      tasks: own.length,
      parallel: own.some(({ task }) => task.parallel),
      serial_accuracy: share(
        count(own, (row) => row.serialRight),
        own.length,
      ),
      parallel_accuracy: share(
        count(own, (row) => row.parallelRight),
        own.length,
      ),
      branched: count(own, (row) => row.branched),
    };
  }
  return {
    model: folder,
    tasks: rows.length,
    serial: {
      accuracy: share(
        count(rows, (row) => row.serialRight),
        rows.length,
      ),
    },
    parallel: {
      accuracy: share(
        count(rows, (row) => row.parallelRight),
        rows.length,
      ),
    },
    trigger: {
      precision: share(
        hits,
        count(rows, (row) => row.branched),
      ),
      recall: share(
        hits,
        count(rows, (row) => row.task.parallel),
      ),
    },
    speedup: {
      steps: {
        mean: share(
          right.reduce((sum, { speedUp }) => sum + speedUp, 0),
          right.length,
        ),
        max: Math.max(...right.map(({ speedUp }) => speedUp)),
      },
    },
    families,
  };
}

const percent = (part: number) => `${(100 * part).toFixed(1)}%`;

function table(of: QualityFigures): string {
  const families = Object.entries(of.families)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, f]) =>
      [
        name.padEnd(20),
        String(f.tasks).padStart(6),
        percent(f.parallel_accuracy).padStart(9),
        percent(f.serial_accuracy).padStart(9),
        `${f.branched} ${f.parallel ? "(should)" : "(should not)"}`.padStart(18),
      ].join(""),
    );
  return `${of.model}, ${of.tasks} held-out tasks
right with branches ${percent(of.parallel.accuracy)}, in serial mode ${percent(of.serial.accuracy)}
branches: precision ${percent(of.trigger.precision)}, recall ${percent(of.trigger.recall)}
speed-up in steps: mean ${of.speedup.steps.mean.toFixed(2)}, max ${of.speedup.steps.max.toFixed(2)}

${"family".padEnd(20)} tasks branches   serial          branched
${families.join("\n")}
`;
}

export async function benchQuality(argv: string[]): Promise<void> {
  const { values } = parseArgs({
    args: argv,
    options: {
      model: { type: "string", default: "models/demo" },
      tasks: { type: "string", default: "1000" },
      seed: { type: "string", default: "1" },
      "max-tokens": { type: "string", default: "480" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return;
  }
  const folder = resolve(values.model);
  const model = new TextModel(folder);
  const most = 1_000_000;
  const seed = whole("seed", values.seed, 1, most);
  const maxTokens = whole("max-tokens", values["max-tokens"], 1, most);
  const tasks = Array.from({ length: whole("tasks", values.tasks, 1, most) }, (_, i) =>
    makeTask(seed, i, "heldout"),
  );
  say(`${tasks.length} tasks with branches allowed`);
  const parallel = await answers(folder, model, tasks, true, maxTokens);
  say(`${tasks.length} tasks in serial mode`);
  const serial = await answers(folder, model, tasks, false, maxTokens);
  const result = figures(values.model, model, tasks, serial, parallel);
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : table(result));
}
