// Labels of prompts: what the pipeline finds in their answers, and what a reader says of the prompt.
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { readAnswers } from "../pipeline/answers.ts";
import { cut } from "../pipeline/cut.ts";
import { readRows } from "../pipeline/jsonl.ts";
import type { Count } from "../pipeline/stage-cost.ts";
import { stepSpeedUp } from "../pipeline/statistics.ts";
import { type PromptLabel, parallelSpeedUp } from "./prompt-label.ts";

/** Prompts by their position among the different ones of the source's file. All others are answered by one text. */
type Judgements = Record<string, { parallel: number[]; unclear: number[] }>;

interface JudgedSource {
  /** Of the judgements file. */
  name: string;
  source: string;
  file: string;
  turn: number;
}

const judgedSources: readonly JudgedSource[] = [
  { name: "oasst", source: "oasst", file: "oasst_prompts.jsonl", turn: 1 },
  { name: "self_instruct", source: "self_instruct", file: "self_instruct_prompts.jsonl", turn: 1 },
  { name: "mt_bench", source: "mt_bench", file: "mt_bench_prompts.jsonl", turn: 1 },
  { name: "mt_bench_second", source: "mt_bench", file: "mt_bench_prompts.jsonl", turn: 2 },
  { name: "arena_hard", source: "arena_hard", file: "arena_hard.jsonl", turn: 1 },
  { name: "biggen", source: "biggen", file: "biggen_prompts.jsonl", turn: 1 },
];

/** Kinds of generated prompts, which are labels by construction. */
const constructed: Record<string, number> = { points: 1, one: 0 };

/** For measuring alone: nothing that ships may learn from them. */
const forbidden = ["human_labels_dev", "vicuna_bench", "ifeval", "alpaca_eval"];

const maxPromptCharacters = 8_000;

interface Found {
  source: string;
  prompt: string;
  turn: number;
  speedups: number[];
  judged: number | null;
}

export class LabelMaker {
  readonly #prompts = new Map<string, Found>();
  readonly #count: Count;

  constructor(count: Count) {
    this.#count = count;
  }

  #found(source: string, prompt: string, turn: number): Found {
    const key = `${turn}\n${prompt}`;
    const found = this.#prompts.get(key) ?? { source, prompt, turn, speedups: [], judged: null };
    this.#prompts.set(key, found);
    return found;
  }

  /**
   * Reads answers. Their source is the file's name, or the category of rows whose category is one.
   * @throws Error if the file is for measuring alone
   */
  async addAnswers(file: string, most: number): Promise<void> {
    const name = basename(file, ".jsonl");
    if (forbidden.includes(name)) throw new Error(`${name} is for measuring alone`);
    const sources = new Set(["arena_hard", "biggen", ...judgedSources.map(({ source }) => source)]);
    let read = 0;
    for await (const { prompt, response, category } of readAnswers(file)) {
      if (read++ >= most) break;
      const judged = constructed[category] ?? null;
      const ofCategory = sources.has(category) ? category : name.replace(/_train$/, "");
      const found = this.#found(judged === null ? ofCategory : "topics", prompt, 1);
      found.judged ??= judged;
      const { stages } = cut(response, prompt, { count: this.#count });
      found.speedups.push(stepSpeedUp(this.#count(response), stages));
    }
  }

  /** Reads what a reader says of the prompts in `folder`. */
  async addJudgements(file: string, folder: string): Promise<void> {
    const judgements = JSON.parse(readFileSync(file, "utf8")) as Judgements;
    for (const { name, source, file: promptFile, turn } of judgedSources) {
      const judged = judgements[name];
      if (!judged) continue;
      const path = join(folder, promptFile);
      if (!existsSync(path)) throw new Error(`${path} is missing; --data names its folder`);
      const prompts = new Set<string>();
      for await (const { row } of readRows(path)) {
        const turns = Array.isArray(row.turns) ? row.turns : [row.prompt];
        prompts.add(String(turns[turn - 1]));
      }
      for (const [index, prompt] of [...prompts].entries()) {
        const found = this.#found(source, prompt, turn);
        found.judged = judged.parallel.includes(index) ? 1 : 0;
        if (judged.unclear.includes(index)) found.judged = 0.5;
      }
    }
  }

  /** In the order in which prompts were found. Prompts too long to be kept are left out. */
  labels(): PromptLabel[] {
    return [...this.#prompts.values()]
      .filter(({ prompt }) => prompt.length <= maxPromptCharacters)
      .map(({ source, prompt, turn, speedups, judged }) => {
        const answers = speedups.length;
        const label = { source, prompt, turn, judged, answers };
        if (answers === 0) return { ...label, speedup: null, parallel: null, agreement: null };
        const round = (value: number) => Math.round(value * 1000) / 1000;
        const parallel = speedups.filter((each) => each >= parallelSpeedUp).length / answers;
        return {
          ...label,
          speedup: round(speedups.reduce((sum, each) => sum + each, 0) / answers),
          parallel: round(parallel),
          agreement: round(Math.max(parallel, 1 - parallel)),
        };
      });
  }
}
