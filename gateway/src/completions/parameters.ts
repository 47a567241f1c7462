// Request fields that both completion endpoints share: OpenAI's, a few common to open engines, and ours
// under `anabranch`. Unknown fields are ignored, as OpenAI does. Known fields that we can't honour are
// refused by name, because an answer that ignored them would be wrong.
import type { SamplingSchema } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import { neutralSampling, type SamplingDefaults } from "@anabranch/shared/sampling-defaults.ts";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { z } from "@hono/zod-openapi";
import { badField } from "../api-error.ts";
import { list } from "../http/list.ts";
import { type Constraint, constraintFields, constraintOf, responseFormat } from "./constraint.ts";

/** Our own fields, on both endpoints. */
export const options = z.strictObject({
  mode: z.enum(["serial", "parallel", "auto"]).nullish(),
  max_branches: z.int().min(1).max(256).nullish(),
  max_time_per_token_ms: z.number().gt(0).max(1_000_000).nullish().openapi({
    description:
      "How long a token should take at most, on the mean, where the worker schedules branches by slack",
  }),
  cache: z.enum(["use", "bypass"]).nullish(),
  stream: z.enum(["ordered", "lanes"]).nullish(),
  classification: z
    .boolean()
    .nullish()
    .openapi({ description: "Return what the classifier says of the prompt" }),
});

const maxChoices = 8;
const maxStopTokens = 64;
const longestSeed = 2n ** 63n;

export const parameters = {
  model: z.string().min(1),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(-1).max(1_000_000).nullish().openapi({ description: "-1 and 0: off" }),
  min_p: z.number().min(0).max(1).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  repetition_penalty: z.number().gt(0).max(10).nullish(),
  logit_bias: z
    .record(z.string().regex(/^\d{1,9}$/, "keys are token ids"), z.number().min(-100).max(100))
    .nullish(),
  seed: z
    .union([
      z.int(),
      z
        .bigint()
        .min(-longestSeed)
        .max(longestSeed - 1n),
    ])
    .nullish()
    .openapi({ type: "integer", format: "int64" }),
  stop: z.union([z.string().min(1), list(z.string().min(1), 4)]).nullish(),
  stop_token_ids: list(z.int().min(0).max(4_294_967_295), maxStopTokens)
    .nullish()
    .openapi({ description: "End the answer, besides the model's own" }),
  ignore_eos: z
    .boolean()
    .nullish()
    .openapi({ description: "The model's own end tokens are not sampled" }),
  min_tokens: z.int().min(0).max(2_147_483_647).nullish().openapi({
    description: "Before so many tokens no end token is sampled, nor one of `stop_token_ids`",
  }),
  n: z.int().min(1).max(maxChoices, `at most ${maxChoices} choices are supported`).nullish(),
  max_tokens: z.int().min(1).max(2_147_483_647).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  user: z.string().nullish(),
  response_format: responseFormat,
  ...constraintFields,
  anabranch: options.nullish(),
};

const shared = z.object(parameters);
type Parameters = z.output<typeof shared>;

/** How to sample, as far as a request says it. */
export interface RequestedSampling {
  /** Undefined fields are the model's to decide. */
  open: { [name in keyof SamplingDefaults]: SamplingDefaults[name] | undefined };
  given: MessageInitShape<typeof SamplingSchema>;
}

/** The settings of a request, in one form for both endpoints. */
export interface Settings {
  sampling: RequestedSampling;
  /** null: the model's default. */
  maxTokens: number | null;
  /** Choices. */
  n: number;
  seed: bigint | null;
  stop: string[];
  stopTokenIds: number[];
  ignoreEos: boolean;
  /** 0: the answer may end at once. */
  minTokens: number;
  /** The answer begins with its prompt. */
  echo: boolean;
  mode: "serial" | "parallel" | "auto";
  /** 0: the dialect's cap. */
  maxBranches: number;
  /** 0: as the worker says. Changes when tokens come, never which. */
  maxTimePerTokenMs: number;
  cache: "use" | "bypass";
  stream: boolean;
  lanes: boolean;
  includeUsage: boolean;
  /** The answer carries what the classifier says of the prompt. */
  classification: boolean;
  /** What the answer may say; undefined: anything. */
  constraint: Constraint | undefined;
  /** The field that says so. */
  formField: string;
}

export interface Logprobs {
  logprobs: boolean;
  topLogprobs: number;
}

export function settingsOf(
  fields: Parameters,
  maxTokens: number | null,
  { logprobs, topLogprobs }: Logprobs,
): Settings {
  const stream = fields.stream ?? false;
  if (fields.stream_options && !stream) {
    throw badField("stream_options", "'stream_options' is only allowed when 'stream' is enabled.");
  }
  const topK = fields.top_k ?? undefined;
  const seed = fields.seed ?? null;
  const stop = fields.stop ?? [];
  const options = fields.anabranch ?? {};
  const form = constraintOf(fields);
  if (form && options.mode === "parallel") {
    throw badField(
      "anabranch.mode",
      "'anabranch.mode' can't be 'parallel' for an answer with a given form: it is one document.",
    );
  }
  return {
    sampling: {
      open: {
        temperature: fields.temperature ?? undefined,
        topP: fields.top_p ?? undefined,
        topK: topK === undefined ? undefined : Math.max(0, topK),
        minP: fields.min_p ?? undefined,
        repetitionPenalty: fields.repetition_penalty ?? undefined,
      },
      given: {
        presencePenalty: fields.presence_penalty ?? 0,
        frequencyPenalty: fields.frequency_penalty ?? 0,
        logitBias: fields.logit_bias ?? {},
        logprobs,
        topLogprobs,
      },
    },
    maxTokens,
    n: fields.n ?? 1,
    seed: seed === null ? null : BigInt.asUintN(64, BigInt(seed)),
    stop: typeof stop === "string" ? [stop] : stop,
    stopTokenIds: fields.stop_token_ids ?? [],
    ignoreEos: fields.ignore_eos ?? false,
    minTokens: minTokensOf(fields, maxTokens, form !== undefined),
    echo: false,
    mode: options.mode ?? "auto",
    maxBranches: options.max_branches ?? 0,
    maxTimePerTokenMs: options.max_time_per_token_ms ?? 0,
    cache: options.cache ?? "use",
    stream,
    lanes: options.stream === "lanes",
    includeUsage: fields.stream_options?.include_usage ?? false,
    classification: options.classification ?? false,
    constraint: form?.constraint,
    formField: form?.field ?? "response_format",
  };
}

function minTokensOf(fields: Parameters, maxTokens: number | null, hasForm: boolean): number {
  const least = fields.min_tokens ?? 0;
  if (least === 0) return 0;
  if (maxTokens !== null && least > maxTokens) {
    throw badField("min_tokens", `'min_tokens' is ${least}, more than 'max_tokens': ${maxTokens}.`);
  }
  if (hasForm) {
    throw badField(
      "min_tokens",
      "'min_tokens' can't be used with a given form: the answer ends where the form does.",
    );
  }
  if (fields.anabranch?.mode === "parallel") {
    throw badField("min_tokens", "'min_tokens' is for serial answers: leave 'anabranch.mode' out.");
  }
  return least;
}

/** The sampling of an answer: what the request leaves open is the model's default. */
export function effectiveSampling(
  { open, given }: RequestedSampling,
  defaults: SamplingDefaults = neutralSampling,
): MessageInitShape<typeof SamplingSchema> & SamplingDefaults {
  return {
    temperature: open.temperature ?? defaults.temperature,
    topP: open.topP ?? defaults.topP,
    topK: open.topK ?? defaults.topK,
    minP: open.minP ?? defaults.minP,
    repetitionPenalty: open.repetitionPenalty ?? defaults.repetitionPenalty,
    ...given,
  };
}

/** Of any API. */
export const unsupportedParameters = ["use_beam_search", "guided_grammar", "structural_tag"];

/** Refuses fields that would change the answer but are not implemented, or not `where` they are. */
export function refuseUnsupported(fields: object, names: readonly string[], where = ""): void {
  for (const name of names) {
    const value: unknown = Reflect.get(fields, name);
    const unset =
      value === undefined ||
      value === null ||
      value === false ||
      (value === 0 && name !== "prompt_logprobs") ||
      (Array.isArray(value) && value.length === 0);
    const message = `'${name}' is not supported${where && ` ${where}`}.`;
    if (!unset) throw badField(name, message, "unsupported_parameter");
  }
}
