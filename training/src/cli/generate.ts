// npm run data -- generate: writes tasks whose answers can be checked, cut by the pipeline.
import { parseArgs } from "node:util";
import { integer, oneOf, required, UsageError } from "@anabranch/shared/cli/options.ts";
import { type AnswerPart, textOfParts } from "@anabranch/shared/parts.ts";
import { cut } from "../pipeline/cut.ts";
import { RowWriter } from "../pipeline/jsonl.ts";
import { makeRepetition, makeTask } from "../tasks/catalogue.ts";
import { check, families, type Split, type Task } from "../tasks/task.ts";
import { fromRoot } from "./paths.ts";

export const generateHelp = `npm run data -- generate --n N --out FILE [options]

Writes N verifiable demo tasks, one JSON object per line:
{id, family, kind, parallel, prompt, response, claims, parts}.

  --n N           number of tasks
  --out FILE      the result
  --seed S        decides the tasks (default 1)
  --split SPLIT   train or heldout (default train)
  --family NAME   only tasks of one family: ${families.join(", ")}
  --repeat        only tasks that repeat a line, with which training begins
  --json          print one JSON value to stdout: {rows, parallel, families}
`;

/** The demo's answers are short, and branches that save no steps still teach the format. */
const evenWithoutGain = { minGain: -100 };

/**
 * Cuts a task's answer.
 * @throws Error if the pipeline finds another structure than the task intends
 */
export function cutTask(task: Task): AnswerPart[] {
  const { parts, rejections } = cut(task.response, task.prompt, evenWithoutGain);
  const found = parts.some((part) => "parallel" in part);
  const why = `${task.kind}: ${JSON.stringify({ rejections, response: task.response })}`;
  if (found !== task.parallel) throw new Error(`the structure is not as intended, ${why}`);
  if (textOfParts(parts) !== task.response)
    throw new Error(`the joined parts differ from the answer, ${why}`);
  if (!check(task.claims, task.response))
    throw new Error(`the verifier rejects the answer, ${why}`);
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
  const out = fromRoot(required("out", values.out));
  const n = integer("n", required("n", values.n), 1);
  const split = oneOf("split", values.split, ["train", "heldout"]);
  const seed = integer("seed", values.seed, 0);
  const family = values.family === undefined ? undefined : oneOf("family", values.family, families);
  if (family && values.repeat) throw new UsageError("--family and --repeat: give one of them");
  const json = await generate(out, n, seed, split, (index) =>
    values.repeat ? makeRepetition(seed, index, split) : makeTask(seed, index, split, family),
  );
  process.stderr.write(`written to ${out}\n`);
  const counts = Object.entries(json.families).map(([name, count]) => `  ${name} ${count}\n`);
  return { json, text: `${n} tasks, ${json.parallel} of them parallel\n${counts.join("")}` };
}
