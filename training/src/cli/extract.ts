// npm run data -- extract: cuts real answers into parts, by their structure and by a language model.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { locateModel } from "@anabranch/gpu-worker/model/locate.ts";
import { decimal, integer, oneOf, required, UsageError } from "@anabranch/shared/cli/options.ts";
import { type Answer, readAnswers } from "../pipeline/answers.ts";
import {
  type Cut,
  cutProposals,
  defaultMinAnswerTokens,
  defaultRules,
  findCandidates,
  maxLeadTokens,
  propose,
  type Rules,
} from "../pipeline/cut.ts";
import { RowWriter } from "../pipeline/jsonl.ts";
import { type Agreement, LikelihoodCheck, LikelihoodScorer } from "../pipeline/likelihood.ts";
import { nameSpans, vote } from "../pipeline/llm/annotation.ts";
import { Endpoint } from "../pipeline/llm/endpoint.ts";
import { Journal } from "../pipeline/llm/journal.ts";
import { mapOrdered } from "../pipeline/ordered-map.ts";
import { reportPage } from "../pipeline/report.ts";
import { charactersPerToken, estimate } from "../pipeline/stage-cost.ts";
import { Statistics, type Summary } from "../pipeline/statistics.ts";
import { readTokenizer } from "../pipeline/tokenizer.ts";
import { trainingRow, twinRow } from "../pipeline/training-rows.ts";
import { checkApart, fromRoot } from "./paths.ts";

export const extractHelp = `npm run data -- extract --in FILE --out FILE [options]

Cuts ordinary answers into serial and parallel parts. The input holds one JSON object per line, with
prompt and response, and optionally id, model, category and finish; where that is "length" the answer is
cut and left out. The texts and bodies of an answer's parts,
joined in order, are its response byte for byte.

  --in FILE           the answers
  --out FILE          the result; the file appears when the run is complete
  --format FORMAT     parts: {id, model, category, prompt, response, parts} (default)
                      aspd: rows for training, and their serial twins in FILE.twin.jsonl
  --tokenizer DIR     a folder with tokenizer.json, or "none": ${charactersPerToken} characters per token
                      (default models/ordinary)
  --titles KIND       hidden: short names (default); leads: the parts' own visible beginnings, for models
                      in the dialect "lead"
  --min-tokens N      shorter answers stay serial (default ${defaultMinAnswerTokens})
  --min-gain N        decode steps that a stage must save (default ${defaultRules.minGain})
  --max-branches N    branches of a stage; more items are merged (default ${defaultRules.maxBranches})
  --max-stages N      stages of an answer (default ${defaultRules.maxStages})
  --report FILE       write a page with figures and plots
  --json              print one JSON value to stdout

A language model can look for parts as well, through any OpenAI-compatible endpoint:
  --llm URL           of the endpoint, up to and including /v1
  --llm-model NAME    the model to ask
  --llm-key-env NAME  the environment variable with the key (default OPENAI_API_KEY)
  --samples N         replies per answer (default 3)
  --votes N           ask N times whether a stage's branches are independent; every reply must say yes
                      (default 0)
  --temperature T     sampling temperature (default 0.7)
  --concurrency N     answers in flight (default 4)
  --per-minute N      requests per minute, at most (default: no limit)
  --retries N         retries of one request (default 6)
  --journal FILE      keeps all replies, so that an interrupted run can continue (default OUT.journal)

The engine can check that branches don't need each other:
  --likelihood        compare each branch's log-probability with its siblings visible and hidden
  --model MODEL       the model that scores them: a folder, or hf:OWNER/NAME
  --threshold X       nats per token that a branch may lose (default 0.3)
`;

const options = {
  in: { type: "string" },
  out: { type: "string" },
  format: { type: "string", default: "parts" },
  tokenizer: { type: "string", default: "models/ordinary" },
  titles: { type: "string", default: defaultRules.titles },
  "min-tokens": { type: "string", default: String(defaultMinAnswerTokens) },
  "min-gain": { type: "string", default: String(defaultRules.minGain) },
  "max-branches": { type: "string", default: String(defaultRules.maxBranches) },
  "max-stages": { type: "string", default: String(defaultRules.maxStages) },
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
  /** Of the whole run. */
  seconds: number;
  answersPerSecond: number;
  /** Only with --llm: requests sent, and why parts of replies were rejected. */
  llm?: { requests: number; rejections: Record<string, number> };
  /** Only with --likelihood. */
  likelihood?: Agreement;
}

const titleRules = (titles: Rules["titles"]): Pick<Rules, "titles" | "maxTitleTokens"> => ({
  titles,
  maxTitleTokens: titles === "leads" ? maxLeadTokens : defaultRules.maxTitleTokens,
});

function rulesOf(values: Values): Rules {
  const folder = values.tokenizer;
  return {
    ...defaultRules,
    count: folder === "none" ? estimate : readTokenizer(fromRoot(folder)).count,
    minAnswerTokens: integer("min-tokens", values["min-tokens"], 0),
    minGain: integer("min-gain", values["min-gain"], -1000),
    maxBranches: integer("max-branches", values["max-branches"], 2, 1000),
    maxStages: integer("max-stages", values["max-stages"], 1, 1000),
    ...titleRules(oneOf("titles", values.titles, ["hidden", "leads"])),
  };
}

/** A language model that looks for parts. */
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

  /** Undefined without --llm. */
  static async open(values: Values, out: string): Promise<Annotator | undefined> {
    if (values.llm === undefined) return undefined;
    const journal = await Journal.open(
      values.journal === undefined ? `${out}.journal` : fromRoot(values.journal),
    );
    if (journal.size > 0) process.stderr.write(`the journal holds ${journal.size} replies\n`);
    const perMinute = values["per-minute"];
    const endpoint = new Endpoint(
      {
        url: values.llm,
        model: required("llm-model", values["llm-model"]),
        key: process.env[values["llm-key-env"]] ?? "none",
        temperature: decimal("temperature", values.temperature, 0, 2),
        perMinute:
          perMinute === undefined ? Number.POSITIVE_INFINITY : integer("per-minute", perMinute, 1),
        retries: integer("retries", values.retries, 0, 100),
      },
      journal,
    );
    const samples = integer("samples", values.samples, 1, 100);
    return new Annotator(endpoint, samples, integer("votes", values.votes, 0, 100));
  }

  get requests(): number {
    return this.#endpoint.requests;
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
    const all = [...findCandidates(response, prompt), ...candidates];
    const proposals = propose(response, prompt, all, rules);
    return await vote(this.#endpoint, prompt, response, proposals, this.#votes);
  }
}

async function openScorer(values: Values): Promise<LikelihoodScorer | undefined> {
  if (!values.likelihood) return undefined;
  const { path } = await locateModel(required("model", values.model));
  return await LikelihoodScorer.open(path);
}

/** The answers of a file that are not cut. */
async function* wholeAnswers(file: string): AsyncGenerator<Answer> {
  for await (const answer of readAnswers(file)) if (answer.finish !== "length") yield answer;
}

const twinOf = (out: string) => `${out.replace(/\.jsonl$/, "")}.twin.jsonl`;

/** Prints the progress of a run, at most once a second. */
class Progress {
  readonly #start = performance.now();
  #printed = this.#start;
  #answers = 0;

  step(): void {
    this.#answers++;
    const now = performance.now();
    if (now - this.#printed < 1000) return;
    this.#printed = now;
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
  const input = fromRoot(required("in", values.in));
  const out = fromRoot(required("out", values.out));
  checkApart({ out }, { in: [input] });
  const aspd = oneOf("format", values.format, ["parts", "aspd"]) === "aspd";
  const rules = rulesOf(values);
  const threshold = decimal("threshold", values.threshold, -100, 100);
  const concurrency = integer("concurrency", values.concurrency, 1, 1000);
  if (values.llm === undefined && values.votes !== "0") throw new UsageError("--votes needs --llm");
  if (values.llm === undefined && values["llm-model"])
    throw new UsageError("--llm-model needs --llm");
  const annotator = await Annotator.open(values, out);
  const scorer = await openScorer(values);
  const check = scorer && new LikelihoodCheck(scorer, threshold);
  const statistics = new Statistics(rules.count);
  const progress = new Progress();

  const cutOne = async (answer: Answer): Promise<{ answer: Answer; cut: Cut }> => {
    const { prompt, response } = answer;
    const proposals = annotator
      ? await annotator.propose(answer, rules)
      : propose(response, prompt, findCandidates(response, prompt), rules);
    const checked = check ? await check.check(answer, proposals) : proposals;
    return { answer, cut: cutProposals(response, checked, rules) };
  };

  const writers = [await RowWriter.open(out)];
  try {
    if (aspd) writers.push(await RowWriter.open(twinOf(out)));
    const [rows, twins] = writers;
    for await (const { answer, cut } of mapOrdered(
      wholeAnswers(input),
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
    scorer?.close();
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
