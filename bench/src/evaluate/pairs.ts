// What is evaluated: prompts, and two answers to each. A pair is a line of a JSONL file, so that answers are
// made once and can be judged again.
import { appendFile } from "node:fs/promises";
import { readRows, reopenRows } from "@anabranch/training/pipeline/jsonl.ts";
import type { Claim } from "@anabranch/training/tasks/task.ts";
import type { ChatAnswer, Mode } from "../chat-client.ts";
import type { Instruction } from "../ifeval/instructions.ts";

export const sides = ["model", "against"] as const;
export type Side = (typeof sides)[number];

/** One prompt, with what is known of its answers. */
export interface Question {
  id: string;
  category: string;
  prompt: string;
  /** IFEval's; empty: none that a program can check. */
  instructions: readonly Instruction[];
  /** What a right answer says; empty: unknown. */
  claims: readonly Claim[];
}

/** An answer, with measurements where it was made here. */
export type GivenAnswer = { text: string } & Partial<ChatAnswer>;

export interface Pair {
  question: Question;
  answers: Record<Side, GivenAnswer>;
}

/** How one side answers. */
export interface SideSettings {
  /** As given: a path, or a model of the hub. */
  model: string;
  /** As given: a LoRA adapter's path, or one of the hub. */
  adapter?: string;
  mode: Mode;
}

/** What decides the text of the answers in a file. */
export interface AnswerSettings {
  sides: Record<Side, SideSettings>;
  temperature: number;
  maxTokens: number;
  seed: number;
  /** From which probabilities a model branches, as the workers' options. */
  thresholds?: string[];
}

/** @throws Error if instruction_id_list and kwargs do not fit together */
function instructionsOf(row: Record<string, unknown>): Instruction[] {
  const { instruction_id_list: ids = [], kwargs = [] } = row;
  if (!Array.isArray(ids) || !Array.isArray(kwargs) || ids.length !== kwargs.length) {
    throw new Error('"instruction_id_list" and "kwargs" must be lists of one length');
  }
  return ids.map((id, i) => ({ id: String(id), parameters: kwargs[i] ?? {} }));
}

/**
 * A question from a JSONL row: `prompt`, and as far as they are known `id` (or `key`), `category`,
 * `instruction_id_list` with `kwargs`, and `claims`.
 * @throws Error saying which field is wrong
 */
export function questionOf(row: Record<string, unknown>, line: number): Question {
  const { prompt, id = row.key ?? line, category = "", claims = [] } = row;
  if (typeof prompt !== "string" || prompt === "") throw new Error('"prompt" must be a text');
  if (!Array.isArray(claims)) throw new Error('"claims" must be a list');
  const known = { claims: claims as Claim[], instructions: instructionsOf(row) };
  return { id: String(id), category: String(category), prompt, ...known };
}

const answerOf = (row: Record<string, unknown>, side: Side): GivenAnswer => {
  const answer = row[side];
  if (typeof answer === "object" && answer !== null && "text" in answer) {
    if (typeof answer.text === "string") return answer as GivenAnswer;
  }
  throw new Error(`"${side}" must be an object with the answer's "text"`);
};

/** The row of a pair; its inverse is `questionOf` and `answerOf`. */
const rowOf = ({ question, answers }: Pair, settings: AnswerSettings) => ({
  ...{ id: question.id, category: question.category, prompt: question.prompt },
  ...(question.instructions.length > 0 && {
    instruction_id_list: question.instructions.map(({ id }) => id),
    kwargs: question.instructions.map(({ parameters }) => parameters),
  }),
  ...(question.claims.length > 0 && { claims: question.claims }),
  ...answers,
  settings,
});

/** Rows of a file, with its name and the line in what an error says. */
export async function readEach<T>(
  file: string,
  read: (row: Record<string, unknown>, line: number) => T,
): Promise<T[]> {
  const out: T[] = [];
  for await (const { row, line } of readRows(file)) {
    try {
      out.push(read(row, line));
    } catch (error) {
      throw new Error(`${file}, line ${line}: ${(error as Error).message}`);
    }
  }
  return out;
}

const pairOf = (row: Record<string, unknown>, line: number): Pair => ({
  question: questionOf(row, line),
  answers: { model: answerOf(row, "model"), against: answerOf(row, "against") },
});

/** The pairs of a file. @throws Error naming the line that is wrong */
export const readPairs = (file: string): Promise<Pair[]> => readEach(file, pairOf);

/** A file of pairs that grows, and from which an interrupted run goes on. */
export class PairFile {
  readonly #path: string | undefined;
  readonly #settings: AnswerSettings;

  /** Without a path nothing is kept. */
  constructor(path: string | undefined, settings: AnswerSettings) {
    this.#path = path;
    this.#settings = settings;
  }

  /**
   * The pairs that an earlier run left, by their question's id.
   * @throws Error if they were made with other settings
   */
  async open(): Promise<Map<string, Pair>> {
    const path = this.#path;
    if (path === undefined) return new Map();
    if (!(await reopenRows(path))) return new Map();
    const pairs = await readEach(path, (row, line) => {
      if (JSON.stringify(row.settings) !== JSON.stringify(this.#settings)) {
        throw new Error(
          "its answers were made with other settings; name another file with --out, or judge these with --answers",
        );
      }
      return pairOf(row, line);
    });
    return new Map(pairs.map((pair) => [pair.question.id, pair]));
  }

  async add(pair: Pair): Promise<void> {
    if (this.#path === undefined) return;
    await appendFile(this.#path, `${JSON.stringify(rowOf(pair, this.#settings))}\n`);
  }
}
