// npm run data -- sample: prints stages for people to review.
import { parseArgs } from "node:util";
import { integer, required, UsageError } from "@anabranch/shared/cli/options.ts";
import type { AnswerPart, BranchPart } from "@anabranch/shared/parts.ts";
import { readRows } from "../pipeline/jsonl.ts";
import { Random } from "../random.ts";
import { fromRoot } from "./paths.ts";

export const sampleHelp = `npm run data -- sample --in FILE [--in FILE …] [options]

Prints random parallel stages from the result of extract, for people to review: could each branch be
written without knowing its siblings? A stage's key is its id, its model and its index among the parts.

  --in FILE     written by extract --format parts
  --n N         stages per file (default 10)
  --seed S      decides the stages (default 1)
  --width N     characters shown of each branch (default 300)
  --json        print one JSON value to stdout: [{key, prompt, before, branches, after}]
`;

interface Stage {
  key: string;
  prompt: string;
  before: string;
  branches: BranchPart[];
  after: string;
}

/** Draws `n` stages of a file with equal probability (reservoir sampling). */
async function draw(file: string, n: number, random: Random): Promise<Stage[]> {
  const drawn: Stage[] = [];
  let seen = 0;
  for await (const { row, line } of readRows(file)) {
    if (!Array.isArray(row.parts)) throw new Error(`${file}, line ${line}: no "parts"`);
    if (row.model === undefined) {
      throw new Error(`${file}, line ${line}: no "model": it is not of extract --format parts`);
    }
    for (const stage of stagesOf(row, row.parts as AnswerPart[])) {
      const place = random.int(0, seen++);
      if (drawn.length < n) drawn.push(stage);
      else if (place < n) drawn[place] = stage;
    }
  }
  return drawn;
}

function stagesOf(row: Record<string, unknown>, parts: readonly AnswerPart[]): Stage[] {
  const texts = parts.map((part) =>
    "serial" in part ? part.serial : part.parallel.map(({ body }) => body).join(""),
  );
  return parts.flatMap((part, i) =>
    "serial" in part
      ? []
      : [
          {
            key: `${row.id} ${row.model} part ${i}`,
            prompt: String(row.prompt),
            before: texts.slice(0, i).join(""),
            branches: part.parallel,
            after: texts.slice(i + 1).join(""),
          },
        ],
  );
}

/** One line of at most `width` characters, with the middle omitted. */
function short(text: string, width: number): string {
  const line = text.replace(/\s+/g, " ").trim();
  if (line.length <= width) return line;
  const tail = Math.floor(width / 3);
  return `${line.slice(0, width - tail - 3)} … ${line.slice(line.length - tail)}`;
}

function textOf(stages: readonly Stage[], width: number): string {
  return stages
    .map(({ key, prompt, before, branches, after }, i) => {
      const bodies = branches.map(({ title, body }) => `  [${title}] ${short(body, width)}\n`);
      return `${i + 1}. ${key}
prompt: ${short(prompt, 240)}
before: ${short(before.slice(-140), 140)}
${bodies.join("")}after: ${short(after.slice(0, 60), 60)}
`;
    })
    .join("\n");
}

export async function sampleCommand(argv: string[]) {
  const { values } = parseArgs({
    args: argv,
    options: {
      in: { type: "string", multiple: true, default: [] },
      n: { type: "string", default: "10" },
      seed: { type: "string", default: "1" },
      width: { type: "string", default: "300" },
      json: { type: "boolean" },
    },
  });
  if (values.in.length === 0) throw new UsageError("--in is needed; see --help");
  const n = integer("n", values.n, 1);
  const width = integer("width", values.width, 20);
  const random = new Random(integer("seed", values.seed, 0));
  const json: Stage[] = [];
  for (const file of values.in)
    json.push(...(await draw(fromRoot(required("in", file)), n, random)));
  return { json, text: textOf(json, width) };
}
