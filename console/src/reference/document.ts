// The gateway's OpenAPI document, as far as the reference shows it.

export interface Schema {
  $ref?: string;
  type?: string | string[];
  description?: string;
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  pattern?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
}

export interface Content {
  schema: Schema;
  example?: object;
}

export interface Operation {
  summary?: string;
  tags?: string[];
  parameters?: {
    name: string;
    in: string;
    required?: boolean;
    description?: string;
    schema: Schema;
  }[];
  requestBody?: { content: Record<string, Content> };
  responses: Record<string, { description: string; content?: Record<string, Content> }>;
}

export interface ApiDocument {
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

export interface Route {
  method: string;
  path: string;
  operation: Operation;
}

export const routesOf = ({ paths }: ApiDocument, tag: string): Route[] =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, { tags = [] }]) => tags.includes(tag))
      .map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );

/** The schema that a reference names, with what stands beside the reference. */
export function resolved({ components }: ApiDocument, schema: Schema): Schema {
  const { $ref, ...beside } = schema;
  if ($ref === undefined) return schema;
  const name = $ref.replace("#/components/schemas/", "");
  return { ...components.schemas[name], ...beside };
}

const isNull = ({ type }: Schema) => type === "null";

/** The alternatives of a schema that has some, those that are null left out. */
export const alternatives = ({ anyOf, oneOf }: Schema): Schema[] =>
  (anyOf ?? oneOf ?? []).filter((each) => !isNull(each));

/** A schema in a few words, such as "integer, 1 to 8" or "list of strings". */
export function typeText(document: ApiDocument, given: Schema): string {
  const schema = resolved(document, given);
  const { minimum, maximum, maxLength, type } = schema;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" | ");
  const options = alternatives(schema);
  if (options.length > 0) {
    return [...new Set(options.map((each) => typeText(document, each)))].join(" | ");
  }
  const types = [type ?? "any"].flat().filter((each) => each !== "null");
  if (types.includes("array")) {
    return `list of ${schema.items ? typeText(document, schema.items) : "anything"}`;
  }
  const range =
    minimum !== undefined && maximum !== undefined
      ? `, ${minimum} to ${maximum}`
      : minimum !== undefined
        ? `, from ${minimum}`
        : maximum !== undefined
          ? `, to ${maximum}`
          : "";
  const length = maxLength === undefined ? "" : `, at most ${maxLength} characters`;
  return `${types.join(" | ")}${range}${length}`;
}

/** The fields below a schema: its own, those of its items, or those of all its alternatives. */
export function fieldsOf(document: ApiDocument, given: Schema): [string, Schema, boolean][] {
  const schema = resolved(document, given);
  const own = Object.entries(schema.properties ?? {}).map(
    ([name, field]): [string, Schema, boolean] => [
      name,
      field,
      schema.required?.includes(name) ?? false,
    ],
  );
  const parts = [...alternatives(schema), ...(schema.allOf ?? [])];
  const inner = parts.flatMap((each) => fieldsOf(document, each));
  const items = schema.items ? fieldsOf(document, schema.items) : [];
  const all = [...own, ...inner, ...items];
  return all.filter(([name], at) => all.findIndex(([other]) => other === name) === at);
}
