// The examples that the classifier learns from: prompts, and whether the data pipeline finds
// independent parts in a real answer to each.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Features, featuresOf } from "@anabranch/shared/classifier-features.ts";
import { cut } from "../pipeline/cut.ts";
import { makeTask } from "../tasks/catalogue.ts";
import type { Split } from "../tasks/task.ts";

export interface Example {
  source: string;
  prompt: string;
  parallel: boolean;
  features: Features;
  /** Balances sources, which differ in size far more than in what they teach. */
  weight: number;
}

/** Sources of real answers whose licence allows training. */
const files = ["vicuna_bench", "arena_hard", "gsm8k_train"] as const;

const weightOf: Record<string, number> = { demo: 3_000, vicuna_bench: 1_500, arena_hard: 4_000 };
const otherWeight = 1_000;

const isParallel = (prompt: string, response: string) =>
  cut(response, prompt).parts.some((part) => "parallel" in part);

type Row = Pick<Example, "source" | "prompt" | "parallel">;

function weighted(rows: readonly Row[]): Example[] {
  return rows.map((row) => ({
    ...row,
    features: featuresOf(row.prompt),
    weight: (weightOf[row.source] ?? otherWeight) / rows.length,
  }));
}

function realRows(folder: string, source: string): Row[] {
  const file = join(folder, `${source}.jsonl`);
  if (!existsSync(file)) throw new Error(`${file} is missing; --data must name its folder`);
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as { prompt: string; response: string })
    .map(({ prompt, response }) => ({ source, prompt, parallel: isParallel(prompt, response) }));
}

export function demoExamples(count: number, split: Split): Example[] {
  const rows = Array.from({ length: count }, (_, index) => {
    const { prompt, parallel } = makeTask(20, index, split);
    return { source: "demo", prompt, parallel };
  });
  return weighted(rows);
}

export function realExamples(folder: string): Example[] {
  return files.flatMap((source) => weighted(realRows(folder, source)));
}
