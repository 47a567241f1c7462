// npm run data -- answer: asks a served model for many answers.

import { appendFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { decimal, integer, oneOf, required } from "@anabranch/shared/cli/options.ts";
import { RunProgress } from "@anabranch/shared/cli/run-progress.ts";
import OpenAI from "openai";
import { readRows, reopenRows } from "../pipeline/jsonl.ts";
import { checkApart, fromRoot } from "./paths.ts";

export const answerHelp = `npm run data -- answer --in FILE --out FILE --url URL --model NAME [options]

Asks a model of an OpenAI-compatible server for answers. The input holds one JSON object per line with
prompt, and optionally id and category. The result holds {id, model, category, sample, prompt, response,
finish} for each answer, in the order in which they end. Started again, the same command goes on where it
was. An answer that was cut by --max-tokens has finish "length"; extract leaves it out.

  --in FILE               the prompts; a prompt that comes several times is asked once
  --out FILE              the answers; grows while the command runs
  --url URL               of the server, up to and including /v1
  --model NAME            the model to ask
  --key-env NAME          the environment variable with the key (default OPENAI_API_KEY)
  --samples N             answers to each prompt (default 1)
  --limit N               ask only the first N prompts
  --temperature T         (default 0.7)
  --top-p P               (default 0.95)
  --frequency-penalty F   (default 0)
  --max-tokens N          of an answer (default 700)
  --mode MODE             of a server of ours: serial, auto or parallel (default: not said)
  --concurrency N         answers in flight (default 16)
  --retries N             retries of one request (default 6)
  --seed S                of the first sample; the next ones follow (default 1)
  --json                  print one JSON value to stdout: {answers, cut, refused, tokens, seconds}
`;

const options = {
  in: { type: "string" },
  out: { type: "string" },
  url: { type: "string" },
  model: { type: "string" },
  "key-env": { type: "string", default: "OPENAI_API_KEY" },
  samples: { type: "string", default: "1" },
  limit: { type: "string", default: "1000000" },
  temperature: { type: "string", default: "0.7" },
  "top-p": { type: "string", default: "0.95" },
  "frequency-penalty": { type: "string", default: "0" },
  "max-tokens": { type: "string", default: "700" },
  mode: { type: "string" },
  concurrency: { type: "string", default: "16" },
  retries: { type: "string", default: "6" },
  seed: { type: "string", default: "1" },
  json: { type: "boolean" },
} as const;

interface Question {
  id: string;
  category: string;
  prompt: string;
}

async function readQuestions(file: string): Promise<Question[]> {
  const questions = new Map<string, Question>();
  for await (const { row, line } of readRows(file)) {
    const { prompt, id = line, category = "none" } = row;
    if (typeof prompt !== "string" || prompt.trim() === "") {
      throw new Error(`${file}, line ${line}: no "prompt"`);
    }
    if (!questions.has(prompt)) {
      questions.set(prompt, { id: String(id), category: String(category), prompt });
    }
  }
  return [...questions.values()];
}

const keyOf = (prompt: unknown, sample: unknown): string => JSON.stringify([prompt, sample]);

/** What an earlier run has written. */
async function finishedAnswers(file: string, model: string): Promise<Set<string>> {
  const finished = new Set<string>();
  if (!(await reopenRows(file))) return finished;
  for await (const { row, line } of readRows(file)) {
    if (row.model !== model) {
      throw new Error(
        `${file}, line ${line} is an answer of ${row.model}; name another file with --out`,
      );
    }
    finished.add(keyOf(row.prompt, row.sample));
  }
  return finished;
}

/** The server says that it will never answer this request, for example because it is too long. */
const refuses = (error: unknown): boolean =>
  error instanceof OpenAI.APIError && [400, 413, 422].includes(error.status ?? 0);

/** What ended the run. The SDK's message names neither the server nor where the key comes from. */
function faultOf(error: unknown, url: string, keyName: string): string {
  const fault = `${url}: ${error instanceof Error ? error.message : error}`;
  const unkeyed = error instanceof OpenAI.AuthenticationError && !process.env[keyName];
  return unkeyed
    ? `${fault}\n${keyName} is not set: it is the key; --key-env names another`
    : fault;
}

export async function answerCommand(argv: string[]) {
  const { values } = parseArgs({ args: argv, options });
  const url = required("url", values.url);
  const model = required("model", values.model);
  const input = fromRoot(required("in", values.in));
  const out = fromRoot(required("out", values.out));
  checkApart({ out }, { in: [input] });
  const seed = integer("seed", values.seed, 0);
  const sampling = {
    temperature: decimal("temperature", values.temperature, 0, 2),
    top_p: decimal("top-p", values["top-p"], 0, 1),
    frequency_penalty: decimal("frequency-penalty", values["frequency-penalty"], -2, 2),
    max_tokens: integer("max-tokens", values["max-tokens"], 1),
  };
  const mode =
    values.mode === undefined
      ? {}
      : { anabranch: { mode: oneOf("mode", values.mode, ["serial", "auto", "parallel"]) } };
  const samples = integer("samples", values.samples, 1, 1000);
  const client = new OpenAI({
    baseURL: url,
    apiKey: process.env[values["key-env"]] ?? "none",
    maxRetries: integer("retries", values.retries, 0, 100),
  });
  const finished = await finishedAnswers(out, model);
  const questions = (await readQuestions(input)).slice(0, integer("limit", values.limit, 1));
  const missing = questions.flatMap((question) =>
    Array.from({ length: samples }, (_, sample) => ({ question, sample })).filter(
      ({ sample }) => !finished.has(keyOf(question.prompt, sample)),
    ),
  );
  const progress = new RunProgress(missing.length, "answers");
  const counts = { answers: 0, cut: 0, refused: 0, tokens: 0 };
  if (finished.size > 0) process.stderr.write(`${finished.size} answers are there already\n`);

  const ask = async ({ question, sample }: (typeof missing)[number]) => {
    const { id, category, prompt } = question;
    try {
      const completion = await client.chat.completions.create({
        ...{ model, seed: seed + sample, ...sampling, ...mode },
        messages: [{ role: "user", content: prompt }],
      });
      const [choice] = completion.choices;
      const response = choice?.message.content ?? "";
      const finish = choice?.finish_reason ?? "stop";
      const row = { id, model, category, sample, prompt, response, finish };
      await appendFile(out, `${JSON.stringify(row)}\n`);
      counts.answers++;
      counts.cut += finish === "length" ? 1 : 0;
      counts.tokens += completion.usage?.completion_tokens ?? 0;
    } catch (error) {
      if (!refuses(error))
        throw new Error(faultOf(error, url, values["key-env"]), { cause: error });
      counts.refused++;
      process.stderr.write(`refused, ${id}: ${(error as Error).message}\n`);
    }
    progress.step(`, ${(counts.tokens / progress.seconds).toFixed(0)} tokens/s`);
  };
  const queue = missing.values();
  const worker = async () => {
    for (const next of queue) await ask(next);
  };
  const concurrency = integer("concurrency", values.concurrency, 1, 1000);
  await Promise.all(Array.from({ length: concurrency }, worker));
  const { answers, cut, refused } = counts;
  const rest = refused > 0 ? `, ${refused} refused` : "";
  return {
    json: { ...counts, seconds: progress.seconds },
    text: `${answers} answers, ${cut} of them cut by --max-tokens${rest}; written to ${out}\n`,
  };
}
