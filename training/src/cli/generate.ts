// npm run data -- generate: tasks whose answers can be checked, cut by the pipeline.
import { parseArgs } from "node:util";
import { RowWriter } from "../pipeline/answers.ts";
import { cut, type Part, plainText } from "../pipeline/parts.ts";
import { makeRepetition, makeTask } from "../tasks/catalogue.ts";
import { check, families, type Split, type Task } from "../tasks/task.ts";
import { fromRoot, needed, oneOf, UsageError, whole } from "./options.ts";

export const generateHelp = `npm run data -- generate --n N --out FILE [options]

Writes N verifiable demo tasks, one JSON object a line:
{id, family, kind, parallel, prompt, response, claims, parts}.

  --n N           how many
  --out FILE      where to
  --seed S        which ones (default 1)
  --split SPLIT   train or heldout (default train)
  --family NAME   tasks of one family alone: ${families.join(", ")}
  --repeat        lines to repeat alone, with which training begins
  --json          one JSON value on stdout: {rows, parallel, families}
`;

/** The demo's answers are short: branches that save no steps teach their form all the same. */
const evenWithoutGain = { least: -100 };

/** Cuts a task's answer and makes sure that the pipeline sees the structure the task intends. */
export function cutTask(task: Task): Part[] {
  const { parts, rejections } = cut(task.response, task.prompt, evenWithoutGain);
  const found = parts.some((part) => "parallel" in part);
  const why = `${task.kind}: ${JSON.stringify({ rejections, response: task.response })}`;
  if (found !== task.parallel) throw new Error(`structure not as intended, ${why}`);
  if (plainText(parts) !== task.response) throw new Error(`parts lose text, ${why}`);
  if (!check(task.claims, task.response)) throw new Error(`own verifier refuses, ${why}`);
  return parts;
}

interface GenerateSummary {
  rows: number;
  parallel: number;
  families: Record<string, number>;
}

async function generate(
  out: string,
  n: number,
  seed: number,
  split: Split,
  make: (index: number) => Task,
): Promise<GenerateSummary> {
  const writer = await RowWriter.open(out);
  const counts: Record<string, number> = {};
  let parallel = 0;
  try {
    for (let i = 0; i < n; i++) {
      const task = make(i);
      const parts = cutTask(task);
      counts[task.family] = (counts[task.family] ?? 0) + 1;
      if (task.parallel) parallel++;
      await writer.write({ id: `${split}-${seed}-${i}`, ...task, parts });
      if ((i + 1) % 10_000 === 0) process.stderr.write(`${i + 1} of ${n} tasks\n`);
    }
    await writer.close();
  } catch (error) {
    await writer.discard();
    throw error;
  }
  return { rows: n, parallel, families: counts };
}

export async function generateCommand(argv: string[]) {
  const { values } = parseArgs({
    args: argv,
    options: {
      n: { type: "string" },
      out: { type: "string" },
      seed: { type: "string", default: "1" },
      split: { type: "string", default: "train" },
      family: { type: "string" },
      repeat: { type: "boolean" },
      json: { type: "boolean" },
    },
  });
  const out = fromRoot(needed("out", values.out));
  const n = whole("n", needed("n", values.n), 1);
  const split = oneOf("split", values.split, ["train", "heldout"]);
  const seed = whole("seed", values.seed, 0);
  const family = values.family === undefined ? undefined : oneOf("family", values.family, families);
  if (family && values.repeat) throw new UsageError("--family and --repeat: give one of them");
  const json = await generate(out, n, seed, split, (index) =>
    values.repeat ? makeRepetition(seed, index, split) : makeTask(seed, index, split, family),
  );
  process.stderr.write(`written to ${out}\n`);
  const counts = Object.entries(json.families).map(([name, count]) => `  ${name} ${count}\n`);
  return { json, text: `${n} tasks, ${json.parallel} of them parallel\n${counts.join("")}` };
}
