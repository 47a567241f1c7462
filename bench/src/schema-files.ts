// JSON Schemas in files: one a file, or those of an OpenAPI document.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";

type Json = Record<string, unknown>;

export interface NamedSchema {
  /** The file, and the schema's name in it. */
  name: string;
  /** The schema, whose references go to places in itself. */
  read(): Json;
}

const isJson = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Every schema in a file, or in the .json files of a folder and those below, in the order of their names. */
export function schemasIn(path: string): NamedSchema[] {
  if (!statSync(path).isDirectory()) return schemasOf(basename(path), parsed(path));
  const files = readdirSync(path, { recursive: true, encoding: "utf8" });
  const named = files.filter((file) => file.endsWith(".json")).sort();
  return named.flatMap((file) => schemasOf(file, parsed(join(path, file))));
}

function parsed(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

/** None if the value is neither a schema nor an OpenAPI document. */
export function schemasOf(name: string, value: unknown): NamedSchema[] {
  if (!isJson(value)) return [];
  if ("openapi" in value && isJson(value.components) && isJson(value.components.schemas)) {
    const { schemas } = value.components;
    return Object.entries(schemas).flatMap(([key, schema]) =>
      isJson(schema) ? [{ name: `${name} ${key}`, read: () => closed(schema, schemas) }] : [],
    );
  }
  const declared = typeof value.$schema === "string" && value.$schema.includes("json-schema.org");
  return declared || isJson(value.properties) ? [{ name, read: () => value }] : [];
}

const prefix = "#/components/schemas/";

/** A schema with those of its document that it leads to. */
function closed(schema: Json, all: Json): Json {
  const schemas: Json = {};
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const each of value) visit(each);
    if (!isJson(value)) return;
    const { $ref } = value;
    if (typeof $ref === "string" && $ref.startsWith(prefix)) {
      const name = $ref.slice(prefix.length).split("/")[0] ?? "";
      if (!Object.hasOwn(schemas, name) && Object.hasOwn(all, name)) {
        schemas[name] = all[name];
        visit(all[name]);
      }
    }
    for (const each of Object.values(value)) visit(each);
  };
  visit(schema);
  return Object.keys(schemas).length > 0 ? { ...schema, components: { schemas } } : schema;
}
