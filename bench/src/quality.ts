// npm run bench -- quality: the answers of a branching model beside those of its serial twin, whether it
// branches where it should, and the time that branching saves a client of the server.
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { openTestCluster, type TestCluster } from "@anabranch/gateway/local/test-cluster.ts";
import { locateModel } from "@anabranch/gpu-worker/model/locate.ts";
import { integer, oneOf } from "@anabranch/shared/cli/options.ts";
import { makeTask } from "@anabranch/training/tasks/catalogue.ts";
import { check, families, type Split, type Task } from "@anabranch/training/tasks/task.ts";
import { ChatClient, type Mode } from "./chat-client.ts";
import { type Accuracy, type Answer, type Figures, figures } from "./quality-figures.ts";
import { type Machine, say, thisMachine } from "./report.ts";
import { defineSubject } from "./subject.ts";

const help = `npm run bench -- quality [options]

Starts the gateway and one worker for each of two models: one that branches, and its serial twin. A
client sends both the held-out tasks of the demo's generator, with greedy sampling and without the
gateway's cache. An answer is correct if the task's verifier accepts it.

1. Accuracy, with many concurrent requests: all tasks of all families, and where the model branched.
2. Speed, with one client: the parallel tasks one after another, on the twin and the model alternately.
   The speed-up is the twin's time to the last byte over ours, each the median of the runs, over the
   tasks that both answer correctly.

  --model MODEL   one that branches and knows the generator's tasks: a folder, or hf:OWNER/NAME
                  (default models/demo)
  --twin DIR      the model trained in the same way without branches (default MODEL-serial)
  --tasks N       held-out tasks per family (default 1000)
  --timed N       parallel tasks per family that are timed (default: all)
  --runs N        timed runs per task (default 3)
  --threads N     engine threads per worker (default: one per core)
  --seed N        decides the tasks (default 1)
  --split SPLIT   heldout or train; train uses wordings and names seen in training, which shows what
                  unseen ones cost (default heldout)
  --max-tokens N  completion tokens of an answer, at most (default 1000)
  --json          print one JSON value to stdout
`;

/** What the command prints with --json. */
export interface QualityFigures extends Figures {
  machine: Machine;
  model: string;
  twin: string;
  split: Split;
  runs: number;
}

/** One model's answer to a task, judged, and the time to its last byte. */
async function answer(client: ChatClient, task: Task): Promise<{ answer: Answer; ms: number }> {
  const { text, finish, steps, branches, visibleTokens, ms } = await client.ask(task.prompt);
  const correct = finish === "stop" && check(task.claims, text);
  return { answer: { correct, steps, branches, visibleTokens, wall: [] }, ms };
}

/** Answers of one model to all tasks, several requests at a time. */
async function answerAll(
  name: string,
  client: ChatClient,
  tasks: readonly Task[],
): Promise<Answer[]> {
  const out: Answer[] = [];
  const queue = tasks.entries();
  let done = 0;
  const worker = async () => {
    for (const [i, task] of queue) {
      out[i] = (await answer(client, task)).answer;
      if (++done % 500 === 0) say(`  ${name}: ${done} of ${tasks.length}`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return out;
}

async function measure(cluster: TestCluster, of: Settings): Promise<Figures> {
  const threads = ["--threads", String(of.threads)];
  await cluster.addWorker("model", ["--model", of.model, "--model-id", "model", ...threads]);
  await cluster.addWorker("twin", ["--model", of.twin, "--model-id", "twin", ...threads]);
  const key = await cluster.key("bench");
  const client = (model: string, mode: Mode) =>
    new ChatClient(cluster.url, key, { model, mode, temperature: 0, maxTokens: of.maxTokens });
  const ours = client("model", "parallel");
  const twin = client("twin", "serial");

  const tasks = families.flatMap((family) =>
    Array.from({ length: of.tasks }, (_, i) => makeTask(of.seed, i, of.split, family)),
  );
  say(`${tasks.length} tasks for both models`);
  const parallel = await answerAll("with branches", ours, tasks);
  const serial = await answerAll("serial twin", twin, tasks);
  const rows = tasks.map((task, i) => {
    const [a, b] = [serial[i], parallel[i]];
    if (!a || !b) throw new Error("an answer is missing");
    return { task, serial: a, parallel: b };
  });

  const timed = families.flatMap((family) =>
    rows
      .filter(({ task, serial, parallel }) => {
        return task.family === family && task.parallel && serial.correct && parallel.correct;
      })
      .slice(0, of.timed),
  );
  say(`${timed.length} tasks that both answer correctly, ${of.runs} times each, one client`);
  for (const [i, { task, serial, parallel }] of timed.entries()) {
    for (let run = 0; run < of.runs; run++) {
      serial.wall.push((await answer(twin, task)).ms);
      parallel.wall.push((await answer(ours, task)).ms);
    }
    if ((i + 1) % 200 === 0) say(`  ${i + 1} of ${timed.length}`);
  }
  return figures(rows);
}

interface Settings {
  model: string;
  twin: string;
  tasks: number;
  timed: number;
  runs: number;
  threads: number;
  seed: number;
  split: Split;
  maxTokens: number;
}

const percent = (part: number | null) => (part === null ? "–" : `${(100 * part).toFixed(1)}%`);
const times = (ratio: number | null) => (ratio === null ? "–" : `${ratio.toFixed(2)}×`);
const points = ({ difference: { points, low, high } }: Accuracy) =>
  points === null || low === null || high === null
    ? "–"
    : `${points.toFixed(1)} [${low.toFixed(1)}, ${high.toFixed(1)}]`;

function table(of: QualityFigures): string {
  const row = (cells: readonly string[]) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(20) : cell.padStart(i === 4 ? 20 : 10))).join("");
  const lines = Object.entries(of.families).flatMap(([name, f]) => [
    row([
      name,
      String(f.tasks),
      percent(f.parallel.accuracy),
      percent(f.serial.accuracy),
      points(f),
      ...[f.speedup.wall.mean, f.speedup.wall.max, f.speedup.steps.mean, f.speedup.steps.max].map(
        times,
      ),
    ]),
    ...Object.entries(f.kinds).map(([kind, k]) =>
      row([
        `  ${kind}`,
        String(k.tasks),
        percent(k.parallel.accuracy),
        percent(k.serial.accuracy),
        points(k),
        ` branched ${k.branched} of ${k.parallel_tasks}`,
      ]),
    ),
  ]);
  const { speedup } = of;
  return `${of.model} beside ${of.twin}, ${of.tasks} ${of.split} tasks, ${of.machine.threads} engine threads
correct: ${percent(of.parallel.accuracy)} with branches, ${percent(of.serial.accuracy)} by the serial twin; difference in points, 95%: ${points(of)}
branches: precision ${percent(of.trigger.precision)}, recall ${percent(of.trigger.recall)}
time to the last byte, ${speedup.tasks} parallel tasks that both answer correctly: mean ${times(speedup.wall.mean)}, best ${times(speedup.wall.max)}
decode steps: mean ${times(speedup.steps.mean)}, best ${times(speedup.steps.max)}; visible tokens ${speedup.visible_tokens.parallel?.toFixed(0) ?? "–"}, twin's ${speedup.visible_tokens.serial?.toFixed(0) ?? "–"}

${row(["family", "tasks", "branches", "twin", "points, 95%", "wall", "best", "steps", "best"])}
${lines.join("\n")}
`;
}

export const subject = defineSubject({
  help,
  options: {
    model: { type: "string", default: "models/demo" },
    twin: { type: "string" },
    tasks: { type: "string", default: "1000" },
    timed: { type: "string" },
    runs: { type: "string", default: "3" },
    threads: { type: "string", default: String(availableParallelism()) },
    seed: { type: "string", default: "1" },
    split: { type: "string", default: "heldout" },
    "max-tokens": { type: "string", default: "1000" },
  },
  async measure(values) {
    const max = 1_000_000;
    const { path: model } = await locateModel(values.model);
    const { path: twin } = await locateModel(values.twin ?? `${values.model}-serial`);
    const tasks = integer("tasks", values.tasks, 1, max);
    return await measureQuality({
      ...{ model, twin },
      tasks,
      timed: values.timed === undefined ? tasks : integer("timed", values.timed, 0, max),
      runs: integer("runs", values.runs, 1, 100),
      threads: integer("threads", values.threads, 1, 1024),
      seed: integer("seed", values.seed, 1, max),
      split: oneOf("split", values.split, ["heldout", "train"]),
      maxTokens: integer("max-tokens", values["max-tokens"], 1, max),
    });
  },
  table,
});

async function measureQuality(settings: Settings): Promise<QualityFigures> {
  const { model, twin, split, runs, threads } = settings;
  say("starting the gateway and two workers");
  const cluster = await openTestCluster();
  try {
    const measured = await measure(cluster, settings);
    return {
      machine: thisMachine(threads),
      model: basename(model),
      twin: basename(twin),
      split,
      runs,
      ...measured,
    };
  } finally {
    await cluster.close();
  }
}
