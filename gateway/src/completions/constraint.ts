// What a request asks of its answer's form: OpenAI's `response_format`, and the names that vLLM has for more.
import type { ConstraintSchema } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { z } from "@hono/zod-openapi";
import { badField } from "../api-error.ts";
import { list } from "../http/list.ts";

const maxChoices = 10_000;
const schema = z.record(z.string(), z.unknown());

export const responseFormat = z
  .discriminatedUnion("type", [
    z.object({ type: z.literal("text") }),
    z.object({ type: z.literal("json_object") }),
    z.object({
      type: z.literal("json_schema"),
      json_schema: z.object({
        name: z.string().regex(/^[\w-]{1,64}$/, "1 to 64 letters, digits, - and _"),
        description: z.string().nullish(),
        schema,
        strict: z.boolean().nullish().openapi({ description: "The schema is held in any case" }),
      }),
    }),
  ])
  .nullish();

const regex = z.string().min(1);
const choice = list(z.string().min(1), maxChoices).min(1);

/** Beside `response_format`. */
export const constraintFields = {
  guided_regex: regex.nullish().openapi({ description: "All of the answer matches it" }),
  guided_choice: choice.nullish().openapi({ description: "The answer is one of these" }),
  guided_json: schema.nullish().openapi({ description: "A JSON Schema, as in `response_format`" }),
  structured_outputs: z
    .strictObject({
      regex: regex.nullish(),
      choice: choice.nullish(),
      json: schema.nullish(),
      json_object: z.boolean().nullish(),
    })
    .nullish()
    .openapi({ description: "vLLM's newer name for the same" }),
};

/** What refusals of workers call a form, whichever field has it. */
export const isFormField = (field: string): boolean =>
  field === "response_format" || field in constraintFields;

export type Constraint = MessageInitShape<typeof ConstraintSchema>;
type Format = z.output<typeof responseFormat>;
type Kind = Constraint["kind"];

const jsonSchema = (given: object): Kind => ({ case: "jsonSchema", value: JSON.stringify(given) });

function formatKind(format: Format): Kind {
  if (format?.type === "json_object") return { case: "jsonObject", value: true };
  return format?.type === "json_schema" ? jsonSchema(format.json_schema.schema) : undefined;
}

/** The constraint of a `response_format`. */
export function formatConstraint(format: Format): Constraint | undefined {
  const kind = formatKind(format);
  return kind && { kind };
}

type Fields = z.output<z.ZodObject<typeof constraintFields>> & { response_format?: Format };

/** The one constraint of a request, and the field that has it. Throws if there are several. */
export function constraintOf(
  fields: Fields,
): { constraint: Constraint; field: string } | undefined {
  const { structured_outputs: structured, guided_regex, guided_choice, guided_json } = fields;
  const found = Object.entries({
    response_format: formatKind(fields.response_format),
    guided_json: guided_json ? jsonSchema(guided_json) : undefined,
    guided_regex: regexKind(guided_regex),
    guided_choice: choiceKind(guided_choice),
    "structured_outputs.json": structured?.json ? jsonSchema(structured.json) : undefined,
    "structured_outputs.json_object": structured?.json_object
      ? ({ case: "jsonObject", value: true } as const)
      : undefined,
    "structured_outputs.regex": regexKind(structured?.regex),
    "structured_outputs.choice": choiceKind(structured?.choice),
  }).flatMap(([field, kind]) => (kind ? [{ field, kind }] : []));
  const [first, second] = found;
  if (first && second) {
    throw badField(
      second.field,
      `'${second.field}' can't be used with '${first.field}': an answer has one form.`,
    );
  }
  return first && { constraint: { kind: first.kind }, field: first.field };
}

const regexKind = (given: string | null | undefined): Kind =>
  given ? { case: "regex", value: given } : undefined;
const choiceKind = (given: string[] | null | undefined): Kind =>
  given ? { case: "choice", value: { texts: given } } : undefined;
