// npm run data -- extract: real answers cut into parts, by their structure and by a language model.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { type Answer, RowWriter, readAnswers } from "../pipeline/answers.ts";
import { type Agreement, LikelihoodCheck, LikelihoodJudge } from "../pipeline/likelihood.ts";
import { nameSpans, vote } from "../pipeline/model/annotate.ts";
import { Endpoint } from "../pipeline/model/endpoint.ts";
import { Journal } from "../pipeline/model/journal.ts";
import { mapOrdered } from "../pipeline/ordered.ts";
import {
  type Cut,
  defaultRules,
  findAll,
  ordinaryAnswer,
  propose,
  type Rules,
  take,
} from "../pipeline/parts.ts";
import { reportPage } from "../pipeline/report.ts";
import { Statistics, type Summary } from "../pipeline/statistics.ts";
import { charactersPerToken, estimate } from "../pipeline/steps.ts";
import { readTokenizer } from "../pipeline/tokens.ts";
import { trainingRow, twinRow } from "../pipeline/training-rows.ts";
import { fromRoot, needed, oneOf, real, UsageError, whole } from "./options.ts";

export const extractHelp = `npm run data -- extract --in FILE --out FILE [options]

Cuts ordinary answers into serial and parallel parts. FILE holds one JSON object a line: prompt and
response, maybe id, model and category. The texts and bodies of an answer's parts, joined in order,
are its response byte for byte.

  --in FILE           answers
  --out FILE          where to; it appears when the run is through
  --format FORMAT     parts: {id, model, category, prompt, response, parts} (default)
                      aspd: rows for training, and the same texts as serial rows in FILE.twin.jsonl
  --tokenizer DIR     a folder with tokenizer.json, or "none": ${charactersPerToken} characters a token
                      (default models/ordinary)
  --min-tokens N      shorter answers stay serial (default ${ordinaryAnswer})
  --min-gain N        decode steps that a stage must save (default ${defaultRules.least})
  --max-branches N    neighbours are merged beyond (default ${defaultRules.branches})
  --max-stages N      of one answer (default ${defaultRules.stages})
  --report FILE       a page with figures and plots
  --json              one JSON value on stdout

A language model may look for parts as well, through any OpenAI-compatible endpoint:
  --llm URL           up to and including /v1
  --llm-model NAME    which model to ask
  --llm-key-env NAME  the environment variable with the key (default OPENAI_API_KEY)
  --samples N         replies an answer (default 3)
  --votes N           ask N times whether a stage's branches are independent; all must say yes
                      (default 0)
  --temperature T     (default 0.7)
  --concurrency N     answers in work at a time (default 4)
  --per-minute N      requests a minute at the most (default: no limit)
  --retries N         of one request (default 6)
  --journal FILE      every reply; a run that broke off goes on from it (default OUT.journal)

The engine can check that branches don't need each other:
  --likelihood        compares each branch's log-probability with its siblings visible and hidden
  --model DIR         the model that judges
  --threshold X       nats a token that a branch may lose (default 0.3)
`;

const options = {
  in: { type: "string" },
  out: { type: "string" },
  format: { type: "string", default: "parts" },
  tokenizer: { type: "string", default: "models/ordinary" },
  "min-tokens": { type: "string", default: String(ordinaryAnswer) },
  "min-gain": { type: "string", default: String(defaultRules.least) },
  "max-branches": { type: "string", default: String(defaultRules.branches) },
  "max-stages": { type: "string", default: String(defaultRules.stages) },
  report: { type: "string" },
  json: { type: "boolean" },
  llm: { type: "string" },
  "llm-model": { type: "string" },
  "llm-key-env": { type: "string", default: "OPENAI_API_KEY" },
  samples: { type: "string", default: "3" },
  votes: { type: "string", default: "0" },
  temperature: { type: "string", default: "0.7" },
  concurrency: { type: "string", default: "4" },
  "per-minute": { type: "string" },
  retries: { type: "string", default: "6" },
  journal: { type: "string" },
  likelihood: { type: "boolean", default: false },
  model: { type: "string" },
  threshold: { type: "string", default: "0.3" },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof options }>>["values"];

/** What --json prints. */
export interface ExtractResult extends Summary {
  in: string;
  out: string;
  /** Seconds of the whole run, and answers a second. */
  seconds: number;
  answersPerSecond: number;
  /** Only with --llm: requests sent, and why groups in replies were not taken. */
  llm?: { requests: number; rejections: Record<string, number> };
  /** Only with --likelihood. */
  likelihood?: Agreement;
}

function rulesOf(values: Values): Rules {
  const folder = values.tokenizer;
  return {
    ...defaultRules,
    count: folder === "none" ? estimate : readTokenizer(fromRoot(folder)).count,
    answer: whole("min-tokens", values["min-tokens"], 0),
    least: whole("min-gain", values["min-gain"], -1000),
    branches: whole("max-branches", values["max-branches"], 2, 1000),
    stages: whole("max-stages", values["max-stages"], 1, 1000),
  };
}

/** The language model that looks for parts, if one is to. */
class Annotator {
  readonly #endpoint: Endpoint;
  readonly #samples: number;
  readonly #votes: number;
  readonly rejections: Record<string, number> = {};

  private constructor(endpoint: Endpoint, samples: number, votes: number) {
    this.#endpoint = endpoint;
    this.#samples = samples;
    this.#votes = votes;
  }

  static async open(values: Values, out: string): Promise<Annotator | undefined> {
    if (values.llm === undefined) return undefined;
    const journal = await Journal.open(
      values.journal === undefined ? `${out}.journal` : fromRoot(values.journal),
    );
    if (journal.size > 0) process.stderr.write(`${journal.size} replies are in the journal\n`);
    const perMinute = values["per-minute"];
    const endpoint = new Endpoint(
      {
        url: values.llm,
        model: needed("llm-model", values["llm-model"]),
        key: process.env[values["llm-key-env"]] ?? "none",
        temperature: real("temperature", values.temperature, 0, 2),
        perMinute:
          perMinute === undefined ? Number.POSITIVE_INFINITY : whole("per-minute", perMinute, 1),
        retries: whole("retries", values.retries, 0, 100),
      },
      journal,
    );
    const samples = whole("samples", values.samples, 1, 100);
    return new Annotator(endpoint, samples, whole("votes", values.votes, 0, 100));
  }

  get requests(): number {
    return this.#endpoint.asked;
  }

  async propose({ prompt, response }: Answer, rules: Rules) {
    const { candidates, rejections } = await nameSpans(
      this.#endpoint,
      prompt,
      response,
      this.#samples,
    );
    for (const reason of rejections) {
      this.rejections[reason] = (this.rejections[reason] ?? 0) + 1;
    }
    const all = [...findAll(response, prompt), ...candidates];
    const proposals = propose(response, prompt, all, rules);
    return await vote(this.#endpoint, prompt, response, proposals, this.#votes);
  }
}

async function openLikelihood(values: Values): Promise<LikelihoodJudge | undefined> {
  if (!values.likelihood) return undefined;
  return await LikelihoodJudge.open(fromRoot(needed("model", values.model)));
}

const twinOf = (out: string) => `${out.replace(/\.jsonl$/, "")}.twin.jsonl`;

/** Says how far a run is, at most once a second. */
class Progress {
  readonly #start = performance.now();
  #said = this.#start;
  #answers = 0;

  step(): void {
    this.#answers++;
    const now = performance.now();
    if (now - this.#said < 1000) return;
    this.#said = now;
    process.stderr.write(`${this.#answers} answers, ${this.rate.toFixed(0)}/s\n`);
  }

  get seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  get rate(): number {
    return this.#answers / this.seconds;
  }
}

async function extract(values: Values): Promise<ExtractResult> {
  const input = fromRoot(needed("in", values.in));
  const out = fromRoot(needed("out", values.out));
  const aspd = oneOf("format", values.format, ["parts", "aspd"]) === "aspd";
  const rules = rulesOf(values);
  const threshold = real("threshold", values.threshold, -100, 100);
  const concurrency = whole("concurrency", values.concurrency, 1, 1000);
  if (values.llm === undefined && values.votes !== "0") throw new UsageError("--votes needs --llm");
  const annotator = await Annotator.open(values, out);
  const judge = await openLikelihood(values);
  const check = judge && new LikelihoodCheck(judge, threshold);
  const statistics = new Statistics(rules.count);
  const progress = new Progress();

  const cutOne = async (answer: Answer): Promise<{ answer: Answer; cut: Cut }> => {
    const { prompt, response } = answer;
    const proposals = annotator
      ? await annotator.propose(answer, rules)
      : propose(response, prompt, findAll(response, prompt), rules);
    const checked = check ? await check.check(answer, proposals) : proposals;
    return { answer, cut: take(response, checked, rules) };
  };

  const writers = [await RowWriter.open(out)];
  try {
    if (aspd) writers.push(await RowWriter.open(twinOf(out)));
    const [rows, twins] = writers;
    for await (const { answer, cut } of mapOrdered(
      readAnswers(input),
      annotator ? concurrency : 1,
      cutOne,
    )) {
      statistics.add(answer.category, answer.response, cut);
      const { id, model, category, prompt, response } = answer;
      if (aspd) await rows?.write(trainingRow(answer, cut.parts));
      else await rows?.write({ id, model, category, prompt, response, parts: cut.parts });
      await twins?.write(twinRow(answer));
      progress.step();
    }
    for (const writer of writers) await writer.close();
  } catch (error) {
    for (const writer of writers) await writer.discard();
    throw error;
  } finally {
    judge?.close();
  }
  const { seconds, rate } = progress;
  process.stderr.write(`${rate.toFixed(0)} answers/s; written to ${out}\n`);
  return {
    in: input,
    out,
    ...statistics.summary(),
    seconds,
    answersPerSecond: rate,
    ...(annotator && {
      llm: { requests: annotator.requests, rejections: annotator.rejections },
    }),
    ...(check && { likelihood: check.agreement }),
  };
}

const percent = (value: number | null) => (value === null ? "-" : `${(100 * value).toFixed(1)}%`);
const fixed = (value: number | null) => (value === null ? "-" : value.toFixed(2));

function textOf(result: ExtractResult): string {
  const { speedUp, likelihood: agreement } = result;
  const lines = [
    `${result.answers} answers, ${result.parallel} with parallel parts (PPD ${percent(result.ppd)})`,
    `${result.stages} stages, ${fixed(result.abn)} branches each (ABN)`,
    `inside branches: ${percent(result.dp)} of all tokens, ${percent(result.dpOfParallel)} in parallel answers (DP)`,
    `efficiency ${percent(result.efficiency)}`,
    `expected speed-up in steps: parallel answers ${fixed(speedUp.parallel.mean)} (most ${fixed(speedUp.parallel.max)}), all answers ${fixed(speedUp.all.mean)}`,
    `answers that don't come back byte for byte: ${result.roundTripFailures}`,
    ...Object.entries(result.rejections).map(([reason, n]) => `  ${n} kept serial: ${reason}`),
  ];
  if (agreement) {
    lines.push(
      `likelihood and words agree on ${agreement.bothIndependent} independent and ${agreement.bothDependent} dependent stages;`,
      `${agreement.onlyLexical} are dependent by words alone, ${agreement.onlyLikelihood} by likelihood alone`,
      ...agreement.disagreements.map(
        ({ id, model, titles, lexical, drop }) =>
          `  ${id} ${model} [${titles.join("; ")}] words: ${lexical ?? "independent"}, drop ${drop.toFixed(3)}`,
      ),
    );
  }
  return `${lines.join("\n")}\n`;
}

export async function extractCommand(argv: string[]) {
  const { values } = parseArgs({ args: argv, options });
  const report = values.report === undefined ? undefined : fromRoot(values.report);
  const json = await extract(values);
  if (report !== undefined) {
    await mkdir(dirname(report), { recursive: true });
    await writeFile(report, reportPage(json));
    process.stderr.write(`report in ${report}\n`);
  }
  return { json, text: textOf(json) };
}
