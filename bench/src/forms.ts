// npm run bench -- forms: whether answers hold to real JSON schemas, and what that costs a step.
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { grammarOf } from "@anabranch/gpu-worker/grammar/grammars.ts";
import { GrammarError } from "@anabranch/gpu-worker/grammar/network.ts";
import { locateModel, modelHelp } from "@anabranch/gpu-worker/model/locate.ts";
import { TextModel } from "@anabranch/gpu-worker/model/text-model.ts";
import { packedTokens } from "@anabranch/gpu-worker/model/token-texts.ts";
import { integer, required } from "@anabranch/shared/cli/options.ts";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { EngineClient } from "./engine-client.ts";
import { randomCheckpoint } from "./random-checkpoint.ts";
import { columns, type Machine, round, say, thisMachine } from "./report.ts";
import { type NamedSchema, schemasIn } from "./schema-files.ts";
import { defineSubject } from "./subject.ts";

const help = `npm run bench -- forms --schemas PATH[,PATH] [options]

Takes schemas from files as a request's response_format. Each is refused with a reason, or answered at temperature 1 by a
model of random weights, and every answer that max_tokens does not cut is validated by ajv. Exits with 1 if one is not valid.

  --schemas LIST   files or folders of JSON Schemas and OpenAPI documents
  --count N        schemas of each path, spread evenly over it (default 500)
  --answers N      answers to each (default 4)
  --tokens N       max_tokens (default 3000)
  --model MODEL    also measures, with this model, a step's time with a form and without:
                   ${modelHelp}
  --timed N        schemas that are timed (default 20)
  --threads N      engine threads (default: one per core)
  --json           print one JSON value to stdout
`;

interface SourceFigures {
  path: string;
  schemas: number;
  /** Schemas that ajv can't read, for example because they refer to other files. */
  unreadable: number;
  /** By reason. */
  refused: Record<string, number>;
  held: number;
  /** Answers that came to their end, and those of them that are valid. */
  whole: number;
  valid: number;
  cut: number;
  /** Held schemas of which no answer came to its end. */
  never_whole: number;
  invalid: { schema: string; text: string; errors: string }[];
}

interface TimeFigures {
  model: string;
  schemas: number;
  tokens: number;
  /** Of one answer alone, without draft tokens. */
  step_ms: { free: number; with_form: number };
  /** What a form costs, over a step without. */
  overhead: number;
}

/** What the command prints with --json. */
export interface FormsFigures {
  machine: Machine;
  sources: SourceFigures[];
  time: TimeFigures | null;
}

/** `count` of a list, spread evenly over it. */
export const spread = <T>(list: readonly T[], count: number): T[] =>
  list.length <= count
    ? [...list]
    : Array.from({ length: count }, (_, i) => list[Math.floor((i * list.length) / count)] as T);

/** A refusal without its place and what it quotes of the schema. */
export const reasonOf = (message: string): string =>
  message
    .replace(/^#.*?: /, "")
    .replace(/"(?:[^"\\]|\\.)*"/g, "…")
    .replace(/;.*$/s, "")
    .replace(/\d{2,}/g, "N");

const ajv = new Ajv2020({
  strict: false,
  multipleOfPrecision: 6,
  validateFormats: true,
  logger: false,
});
addFormats.default(ajv);

/** Undefined if ajv can't read it. What names the schema is left out: nothing refers to it by name. */
function validatorOf({
  $schema,
  $id,
  id,
  ...schema
}: Record<string, unknown>): ValidateFunction | undefined {
  try {
    return ajv.compile(typeof id === "string" || id === undefined ? schema : { ...schema, id });
  } catch {
    return undefined;
  }
}

interface Answer {
  text: string;
  cut: boolean;
  tokens: number;
  steps: number;
  ms: number;
}

class Writer {
  readonly #client: EngineClient;
  readonly #text: TextModel;
  readonly #prompt: readonly number[];

  constructor(model: string, text: TextModel, threads: number) {
    const tokenBytes = packedTokens(text.tokenBytes);
    this.#client = new EngineClient({ model, device: "cpu", threads, kvMib: 256, tokenBytes });
    this.#text = text;
    this.#prompt = text.tokens("Answer as JSON: ");
  }

  async write(maxTokens: number, seed: number, fields: object): Promise<Answer> {
    const ids: number[] = [];
    const begun = performance.now();
    const { finished } = this.#client.submit(
      { prompt: this.#prompt, seed, maxTokens, sampling: { temperature: 1 }, ...fields },
      (events) => {
        for (const event of events) {
          if (event.kind === "token" && event.token.visible) ids.push(event.token.id);
        }
      },
    );
    const { reason, usage } = await finished;
    const ms = performance.now() - begun;
    const { completionTokens: tokens, steps } = usage;
    return { text: this.#text.decode(ids), cut: reason === 2, tokens, steps, ms };
  }

  close(): void {
    this.#client.engine.close();
  }
}

/** The form of a schema, or why there is none. */
function formOf(schema: object): Uint32Array | string {
  try {
    return grammarOf({ case: "jsonSchema", value: JSON.stringify(schema) });
  } catch (error) {
    if (error instanceof GrammarError) return reasonOf(error.message);
    throw error;
  }
}

async function check(
  path: string,
  schemas: readonly NamedSchema[],
  write: (grammar: Uint32Array, seed: number) => Promise<Answer>,
  answers: number,
): Promise<{ figures: SourceFigures; held: Uint32Array[] }> {
  const figures: SourceFigures = {
    ...{ path, schemas: schemas.length, unreadable: 0, refused: {}, held: 0 },
    ...{ whole: 0, valid: 0, cut: 0, never_whole: 0, invalid: [] },
  };
  const held: Uint32Array[] = [];
  for (const [i, { name, read }] of schemas.entries()) {
    const schema = read();
    if (i > 0 && i % 50 === 0) say(`  ${path}: ${i} of ${schemas.length}`);
    const form = formOf(schema);
    if (typeof form === "string") {
      figures.refused[form] = (figures.refused[form] ?? 0) + 1;
      continue;
    }
    const validator = validatorOf(schema);
    if (!validator) {
      figures.unreadable++;
      continue;
    }
    figures.held++;
    held.push(form);
    const seeds = Array.from({ length: answers }, (_, seed) => seed + 1);
    const written = await Promise.all(seeds.map((seed) => write(form, seed)));
    const whole = written.filter(({ cut }) => !cut);
    figures.cut += written.length - whole.length;
    figures.whole += whole.length;
    if (whole.length === 0) figures.never_whole++;
    for (const { text } of whole) {
      if (isValid(validator, text)) figures.valid++;
      else {
        const errors = JSON.stringify(validator.errors ?? "no JSON").slice(0, 500);
        figures.invalid.push({ schema: name, text: text.slice(0, 500), errors });
      }
    }
  }
  return { figures, held };
}

function isValid(validator: ValidateFunction, text: string): boolean {
  try {
    return validator(JSON.parse(text));
  } catch {
    return false;
  }
}

/** One answer at a time: under its form, then as many tokens without. */
async function time(
  model: string,
  writer: Writer,
  forms: readonly Uint32Array[],
): Promise<TimeFigures> {
  const free = { steps: 0, ms: 0 };
  const formed = { steps: 0, ms: 0, tokens: 0 };
  const alone = { sequential: true };
  await writer.write(8, 1, alone);
  for (const [i, grammar] of forms.entries()) {
    const under = await writer.write(200, i + 1, { ...alone, grammar });
    const plain = await writer.write(under.tokens, i + 1, { ...alone, ignoreEos: true });
    formed.steps += under.steps;
    formed.ms += under.ms;
    formed.tokens += under.tokens;
    free.steps += plain.steps;
    free.ms += plain.ms;
  }
  const step = { free: free.ms / free.steps, with_form: formed.ms / formed.steps };
  return {
    ...{ model, schemas: forms.length, tokens: formed.tokens },
    step_ms: { free: round(step.free), with_form: round(step.with_form) },
    overhead: round(step.with_form / step.free - 1),
  };
}

function table({ sources, time: timed, machine }: FormsFigures): string {
  const rows = sources.map((each) => [
    ...[each.schemas, each.held, each.unreadable, each.whole, each.valid, each.cut].map(String),
    ...[String(each.never_whole), `  ${each.path}`],
  ]);
  const head = ["schemas", "held", "no ajv", "whole", "valid", "cut", "no whole", "  of"];
  const reasons = sources.flatMap(({ path, refused }) => [
    `refused of ${path}:`,
    ...Object.entries(refused)
      .sort(([, a], [, b]) => b - a)
      .map(([reason, count]) => `${String(count).padStart(8)}  ${reason}`),
  ]);
  const wrong = sources.flatMap(({ invalid }) =>
    invalid.map(({ schema, text, errors }) => `not valid for ${schema}: ${text}\n  ${errors}`),
  );
  const step = timed
    ? `a step of ${timed.model} on ${machine.threads} threads: ${timed.step_ms.free} ms, with a form ${timed.step_ms.with_form} ms (${(100 * timed.overhead).toFixed(1)}%)`
    : "";
  return `${[...columns([head, ...rows]), ...reasons, ...wrong, step].filter(Boolean).join("\n")}\n`;
}

const small = fileURLToPath(new URL("../../models/small", import.meta.url));

export const subject = defineSubject({
  help,
  options: {
    schemas: { type: "string" },
    count: { type: "string", default: "500" },
    answers: { type: "string", default: "4" },
    tokens: { type: "string", default: "3000" },
    model: { type: "string" },
    timed: { type: "string", default: "20" },
    threads: { type: "string", default: String(availableParallelism()) },
  },
  async measure(values): Promise<FormsFigures> {
    const paths = required("schemas", values.schemas).split(",");
    const count = integer("count", values.count, 1);
    const answers = integer("answers", values.answers, 1, 64);
    const tokens = integer("tokens", values.tokens, 1, 1 << 15);
    const threads = integer("threads", values.threads, 1, 1024);
    const timed = integer("timed", values.timed, 1);
    const located = values.model === undefined ? undefined : await locateModel(values.model);
    const writer = new Writer(randomCheckpoint("tiny-2048"), new TextModel(small), threads);
    const sources: SourceFigures[] = [];
    const forms: Uint32Array[] = [];
    for (const path of paths) {
      const write = (grammar: Uint32Array, seed: number) => writer.write(tokens, seed, { grammar });
      const { figures, held } = await check(path, spread(schemasIn(path), count), write, answers);
      sources.push(figures);
      forms.push(...held);
    }
    writer.close();
    const machine = thisMachine(threads);
    if (!located) return { machine, sources, time: null };
    const { path, format } = located;
    const text = await TextModel.open({ path, format, name: "bench" });
    const slow = new Writer(path, text, threads);
    const measured = await time(values.model ?? "", slow, spread(forms, timed));
    slow.close();
    return { machine, sources, time: measured };
  },
  table,
  passed: ({ sources }) => sources.every(({ invalid }) => invalid.length === 0),
});
