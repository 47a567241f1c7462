import { createReadStream, createWriteStream, mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import { cut, type Part, plainText } from "../pipeline/parts.ts";
import { makeTask } from "../tasks/catalogue.ts";
import { check, type Split, type Task } from "../tasks/task.ts";

const help = `npm run data -- generate --n N [--seed S] [--split train|heldout] --out FILE [--json]
npm run data -- extract --in FILE --out FILE [--json]

generate  writes N verifiable demo tasks, one JSON object a line:
          {id, family, parallel, prompt, response, claims, parts}
extract   cuts real answers ({prompt, response} a line) into serial and parallel parts and adds
          {parts, parallel} to each; rows without a response are left out.

Paths are relative to the repository root. Progress goes to stderr; --json prints one summary.`;

export interface ExtractSummary {
  rows: number;
  parallel: number;
  /** Rows whose parts do not give the response back. Must be 0. */
  roundTripFailures: number;
  branches: number;
  /** Branch characters over all characters. */
  degree: number;
  rejections: Record<string, number>;
}

const root = resolve(import.meta.dirname, "../../..");

/** Cuts a task's answer and makes sure that the pipeline sees the structure the task intends. */
export function cutTask(task: Task): Part[] {
  const { parts, rejections } = cut(task.response);
  const found = parts.some((part) => "parallel" in part);
  const why = `${task.family}: ${JSON.stringify({ rejections, response: task.response })}`;
  if (found !== task.parallel) throw new Error(`structure not as intended, ${why}`);
  if (plainText(parts) !== task.response) throw new Error(`parts lose text, ${why}`);
  if (!check(task.claims, task.response)) throw new Error(`own verifier refuses, ${why}`);
  return parts;
}

async function write(stream: ReturnType<typeof createWriteStream>, row: unknown): Promise<void> {
  if (!stream.write(`${JSON.stringify(row)}\n`)) {
    await new Promise<void>((done) => stream.once("drain", () => done()));
  }
}

async function close(stream: ReturnType<typeof createWriteStream>): Promise<void> {
  await new Promise<void>((done, fail) => {
    stream.once("error", fail);
    stream.end(() => done());
  });
}

async function generate(out: string, n: number, seed: number, split: Split): Promise<unknown> {
  mkdirSync(dirname(out), { recursive: true });
  const stream = createWriteStream(out);
  const families: Record<string, number> = {};
  let parallel = 0;
  for (let i = 0; i < n; i++) {
    const task = makeTask(seed, i, split);
    const parts = cutTask(task);
    families[task.family] = (families[task.family] ?? 0) + 1;
    if (task.parallel) parallel++;
    const { family, prompt, response, claims } = task;
    await write(stream, {
      id: `${split}-${seed}-${i}`,
      family,
      parallel: task.parallel,
      prompt,
      response,
      claims,
      parts,
    });
    if ((i + 1) % 10_000 === 0) process.stderr.write(`${i + 1} of ${n} tasks\n`);
  }
  await close(stream);
  return { rows: n, parallel, families };
}

/** Split at "\\n" alone: node:readline also breaks at U+2028, which JSON strings may hold. */
async function* rows(file: string): AsyncGenerator<Record<string, unknown>> {
  let rest = "";
  let number = 0;
  const parse = (line: string): Record<string, unknown> => {
    number++;
    try {
      return JSON.parse(line) as Record<string, unknown>;
    } catch (error) {
      throw new Error(`${file}, line ${number}: ${(error as Error).message}`);
    }
  };
  for await (const chunk of createReadStream(file, "utf8")) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") yield parse(line);
  }
  if (rest.trim() !== "") yield parse(rest);
}

async function extract(input: string, out: string): Promise<ExtractSummary> {
  mkdirSync(dirname(out), { recursive: true });
  const stream = createWriteStream(out);
  const summary: ExtractSummary = {
    rows: 0,
    parallel: 0,
    roundTripFailures: 0,
    branches: 0,
    degree: 0,
    rejections: {},
  };
  let inside = 0;
  let all = 0;
  for await (const row of rows(input)) {
    if (typeof row.response !== "string") continue;
    const { parts, rejections } = cut(row.response);
    const branches = parts.flatMap((part) => ("parallel" in part ? part.parallel : []));
    summary.rows++;
    if (branches.length > 0) summary.parallel++;
    if (plainText(parts) !== row.response) summary.roundTripFailures++;
    summary.branches += branches.length;
    inside += branches.reduce((sum, b) => sum + b.body.length, 0);
    all += row.response.length;
    for (const { reason } of rejections) {
      summary.rejections[reason] = (summary.rejections[reason] ?? 0) + 1;
    }
    await write(stream, { ...row, parallel: branches.length > 0, parts });
    if (summary.rows % 1000 === 0) process.stderr.write(`${summary.rows} answers\n`);
  }
  await close(stream);
  summary.degree = all === 0 ? 0 : inside / all;
  return summary;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      n: { type: "string" },
      seed: { type: "string", default: "1" },
      split: { type: "string", default: "train" },
      in: { type: "string" },
      out: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${help}\n`);
    return 0;
  }
  const [verb] = positionals;
  const out = values.out === undefined ? undefined : resolve(root, values.out);
  let summary: unknown;
  if (verb === "generate" && out !== undefined && values.n !== undefined) {
    const n = Number(values.n);
    const seed = Number(values.seed);
    const { split } = values;
    if (!Number.isInteger(n) || n < 1 || !Number.isInteger(seed)) {
      process.stderr.write("--n and --seed take whole numbers\n");
      return 2;
    }
    if (split !== "train" && split !== "heldout") {
      process.stderr.write("--split is train or heldout\n");
      return 2;
    }
    summary = await generate(out, n, seed, split);
  } else if (verb === "extract" && out !== undefined && values.in !== undefined) {
    summary = await extract(resolve(root, values.in), out);
  } else {
    process.stderr.write(`${help}\n`);
    return 2;
  }
  process.stderr.write(`written to ${out}\n`);
  if (values.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
  else process.stderr.write(`${JSON.stringify(summary, null, 2)}\n`);
  return 0;
}

if (import.meta.main) {
  process.exitCode = await main().catch((error: unknown) => {
    process.stderr.write(`${(error as Error).message}\n`);
    return 1;
  });
}
