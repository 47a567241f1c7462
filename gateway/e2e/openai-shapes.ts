// OpenAI's published schema of its answers, as JSON Schema: read from the types of their SDK, which they generate from it.
import { fileURLToPath } from "node:url";
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import type OpenAI from "openai";
import { createGenerator } from "ts-json-schema-generator";

export interface Shapes {
  chat: OpenAI.ChatCompletion;
  chatChunk: OpenAI.ChatCompletionChunk;
  completion: OpenAI.Completion;
  response: OpenAI.Responses.Response;
  responseEvent: OpenAI.Responses.ResponseStreamEvent;
  model: OpenAI.Model;
}

/** What is wrong with a value of a shape; empty: nothing. A field that the schema doesn't know is wrong. */
export type Checker = (shape: keyof Shapes, value: unknown) => string[];

/** Takes some seconds: the types are thousands of lines. */
export function openShapes(): Checker {
  const generator = createGenerator({
    path: fileURLToPath(import.meta.url),
    tsconfig: fileURLToPath(new URL("../tsconfig.json", import.meta.url)),
    type: "Shapes",
    skipTypeCheck: true,
  });
  const schema = JSON.parse(JSON.stringify(generator.createSchema("Shapes")));
  amend(schema.definitions);
  const ajv = new Ajv({ strict: false, allErrors: true }).addSchema(schema, "openai");
  const validators = new Map<string, ValidateFunction>();
  return (shape, value) => {
    // Of a union the member that the value says it is: errors of all of them say nothing.
    const said = shape === "responseEvent" ? eventNamed(schema.definitions, value) : undefined;
    const $ref = `openai#/definitions/${said ?? `Shapes/properties/${shape}`}`;
    const validator = validators.get($ref) ?? ajv.compile({ $ref });
    validators.set($ref, validator);
    return validator(value) ? [] : (validator.errors ?? []).map(errorText);
  };
}

interface Definition {
  required: string[];
  properties: Record<string, { const?: string; [keyword: string]: unknown }>;
}

/** Where the types and OpenAI's own answers part. */
function amend(definitions: Record<string, Definition>): void {
  const { Response, Completion, CompletionChoice } = definitions;
  const logprobs = definitions["CompletionChoice.Logprobs"]?.properties;
  if (!Response || !Completion || !CompletionChoice || !logprobs) {
    throw new Error("the SDK has other types");
  }
  // The first token of an echoed prompt has neither.
  for (const name of ["token_logprobs", "top_logprobs"]) {
    const { items } = logprobs[name] ?? {};
    logprobs[name] = { ...logprobs[name], items: { anyOf: [items, { type: "null" }] } };
  }
  // The SDK adds it to what it receives.
  Response.required = Response.required.filter((name) => name !== "output_text");
  // Responses have it, in documented examples too.
  Response.properties.store = { type: "boolean" };
  // In a stream these are null until the end.
  for (const [{ properties }, name] of [
    [Response, "usage"],
    [Completion, "usage"],
    [CompletionChoice, "finish_reason"],
  ] as const) {
    properties[name] = { anyOf: [properties[name], { type: "null" }] };
  }
}

function eventNamed(definitions: Record<string, Definition>, value: unknown): string | undefined {
  const { type } = value as { type?: string };
  const named = Object.entries(definitions).find(
    ([name, { properties }]) => /^Response.*Event$/.test(name) && properties?.type?.const === type,
  );
  return named?.[0];
}

const errorText = ({ instancePath, message, params }: ErrorObject) =>
  `${instancePath} ${message} ${JSON.stringify(params)}`;
