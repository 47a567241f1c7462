// The keywords of JSON Schema: which are held, which say nothing about values, and how two schemas that both
// hold become one.
import { GrammarError } from "./network.ts";

export type Schema = { readonly [keyword: string]: unknown };

/** By the type of value that they are about. */
export const keywordsOf = {
  object: [
    ...["properties", "required", "additionalProperties", "patternProperties", "propertyNames"],
    ...["minProperties", "maxProperties"],
  ],
  array: ["items", "prefixItems", "minItems", "maxItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
} as const;

const general = ["type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"];
const held: ReadonlySet<string> = new Set([...general, ...Object.values(keywordsOf).flat()]);

/** Keywords with a meaning for values that no automaton of ours can hold. */
const refused: ReadonlySet<string> = new Set([
  ...["not", "if", "then", "else", "contains", "minContains", "maxContains", "uniqueItems"],
  ...["dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties"],
  ...["unevaluatedItems", "additionalItems", "$dynamicRef", "$recursiveRef", "contentEncoding"],
  ...["contentMediaType", "contentSchema"],
]);

export const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The keywords that say something about values. @throws GrammarError naming one that can't be held */
export function constraintsOf(schema: Schema, where: string): Schema {
  const out: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(schema)) {
    if (refused.has(keyword) && value !== false) {
      throw new GrammarError(`${where}: '${keyword}' is not supported`);
    }
    if (held.has(keyword) && value !== undefined) out[keyword] = value;
  }
  return out;
}

type Join = (a: unknown, b: unknown, where: string) => unknown;

const larger: Join = (a, b) => Math.max(Number(a), Number(b));
const smaller: Join = (a, b) => Math.min(Number(a), Number(b));
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [value]);
const both = (a: unknown, b: unknown) => ({ allOf: [a, b] });

/** An integer is a number. */
function commonTypes(a: unknown, b: unknown): unknown[] {
  const [left, right] = [list(a), list(b)];
  const has = (types: unknown[], type: unknown) =>
    types.includes(type) || (type === "integer" && types.includes("number"));
  return [...new Set([...left, ...right])].filter((type) => has(left, type) && has(right, type));
}

const joins: Readonly<Record<string, Join>> = {
  type: commonTypes,
  required: (a, b) => [...new Set([...list(a), ...list(b)])],
  properties: (a, b) => {
    const out: Record<string, unknown> = { ...(a as Schema) };
    for (const [name, schema] of Object.entries(b as Schema)) {
      out[name] = Object.hasOwn(out, name) ? both(out[name], schema) : schema;
    }
    return out;
  },
  items: both,
  minimum: larger,
  exclusiveMinimum: larger,
  maximum: smaller,
  exclusiveMaximum: smaller,
  minLength: larger,
  maxLength: smaller,
  minItems: larger,
  maxItems: smaller,
  minProperties: larger,
  maxProperties: smaller,
  enum: (a, b) => {
    const known = new Set(list(a).map((each) => JSON.stringify(each)));
    return list(b).filter((each) => known.has(JSON.stringify(each)));
  },
};

/**
 * One schema for values that both hold for, which have no anyOf, oneOf, allOf or $ref.
 * @throws GrammarError naming the keyword that they can't share
 */
export function merged(a: Schema, b: Schema, where: string): Schema {
  closedAlike(a, b, where);
  const out: Record<string, unknown> = { ...a };
  for (const [keyword, value] of Object.entries(b)) {
    const known = out[keyword];
    if (known === undefined || JSON.stringify(known) === JSON.stringify(value)) {
      out[keyword] = value;
      continue;
    }
    const join = joins[keyword];
    if (!join) {
      throw new GrammarError(`${where}: '${keyword}' differs in schemas that must both hold`);
    }
    out[keyword] = join(known, value, where);
  }
  return out;
}

/** A schema that closes its object forbids the properties that only the other one names. */
function closedAlike(a: Schema, b: Schema, where: string): void {
  for (const [closed, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const rest = closed.additionalProperties;
    if (rest === undefined || rest === true) continue;
    const known = isSchema(closed.properties) ? closed.properties : {};
    const names = Object.keys(isSchema(other.properties) ? other.properties : {});
    const stranger = names.find((name) => !Object.hasOwn(known, name));
    if (stranger !== undefined) {
      throw new GrammarError(
        `${where}: 'additionalProperties' of one schema is about the property ${JSON.stringify(stranger)} of another that must hold too`,
      );
    }
  }
}
