// The sets of prompts that models are compared on.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "@anabranch/shared/cli/options.ts";
import { makeTask } from "@anabranch/training/tasks/catalogue.ts";
import type { Family } from "@anabranch/training/tasks/task.ts";
import { type Question, questionOf, readEach } from "./pairs.ts";

type Row = Record<string, unknown>;

/** Benchmarks of others, as files of the data folder. */
const files: Readonly<
  Record<string, { file: string; read: (row: Row, line: number) => Question }>
> = {
  vicuna: { file: "vicuna_bench.jsonl", read: questionOf },
  ifeval: {
    file: "ifeval.jsonl",
    read: (row, line) => questionOf({ ...row, category: "ifeval" }, line),
  },
  "mt-bench": {
    file: "mt_bench_prompts.jsonl",
    read: (row, line) =>
      questionOf({ ...row, prompt: Array.isArray(row.turns) ? row.turns[0] : undefined }, line),
  },
};

/** Families of the demo's generator, whose answers are known. */
const generated: Readonly<Record<string, Family>> = { rag: "retrieval", maths: "mathematics" };
const generatedTasks = 100;

export const suiteNames = [...Object.keys(files), ...Object.keys(generated)];

export interface SuiteOptions {
  /** Where the files of others' benchmarks are. */
  data: string;
  /** At most so many questions; absent: all of a file, 100 of a generated family. */
  limit?: number;
  /** Decides generated tasks. */
  seed: number;
}

/**
 * The questions of a suite: one of `suiteNames`, or a JSONL file with a `prompt` a line. A prompt that comes
 * several times, as with answers of several models, is asked once.
 * @throws UsageError if there is no such suite; Error naming the line that is wrong
 */
export async function readSuite(name: string, options: SuiteOptions): Promise<Question[]> {
  const { data, limit, seed } = options;
  const family = generated[name];
  if (family) return generate(family, seed, limit ?? generatedTasks);
  const known = files[name];
  const path = known ? join(data, known.file) : name;
  if (!existsSync(path)) {
    throw new UsageError(
      known
        ? `--suite ${name} needs ${path}; --data names the folder with that file`
        : `--suite takes one of ${suiteNames.join(", ")} or a JSONL file, and ${name} is no file`,
    );
  }
  const questions = await readEach(path, known?.read ?? questionOf);
  const once = [...new Map(questions.map((question) => [question.prompt, question])).values()];
  const left = spread(once, limit ?? once.length);
  const ids = left.map(({ id }) => id);
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice !== undefined) throw new Error(`${path}: two prompts have the id "${twice}"`);
  return left;
}

/** `limit` of a list at equal distances: files are ordered by category. */
const spread = <T>(list: readonly T[], limit: number): T[] =>
  list.filter(
    (_, i) => Math.floor((i * limit) / list.length) !== Math.floor(((i - 1) * limit) / list.length),
  );

const generate = (family: Family, seed: number, count: number): Question[] =>
  Array.from({ length: count }, (_, i) => {
    const { kind, prompt, claims } = makeTask(seed, i, "heldout", family);
    return { id: `${family}-${seed}-${i}`, category: kind, prompt, claims, instructions: [] };
  });
