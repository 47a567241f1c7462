// The fields of the four kinds of requests for answers, read from their schemas, as docs/protocol.md lists them.
import type { z } from "@hono/zod-openapi";
import { bodies } from "../../gateway/src/completions/foreign-fields.ts";

/** What zod keeps of a schema, as far as it is read here. */
interface Definition {
  type: string;
  innerType?: z.ZodType;
  options?: z.ZodType[];
  element?: z.ZodType;
  most?: number;
  entries?: Record<string, string>;
  values?: unknown[];
  format?: string;
  checks?: { _zod: { def: Check } }[];
}

type Check =
  | { check: "greater_than" | "less_than"; value: number; inclusive: boolean }
  | { check: "other" };

/** No request means a number so large. */
const unbounded = 2 ** 31 - 1;
const grouped = new Intl.NumberFormat("en");

/** "an integer from 1 to 8" */
function numbers({ format, checks = [] }: Definition): string {
  const kind = format === undefined ? "a number" : "an integer";
  const bound = (kind: "greater_than" | "less_than") => {
    const found = checks.map(({ _zod }) => _zod.def).find(({ check }) => check === kind);
    return found && "value" in found && Math.abs(found.value) < unbounded ? found : undefined;
  };
  const [least, most] = [bound("greater_than"), bound("less_than")];
  if (!least) return kind;
  const from = `${least.inclusive ? "from" : "above"} ${grouped.format(least.value)}`;
  return `${kind} ${from}${most ? ` to ${grouped.format(most.value)}` : ""}`;
}

/** Whether it may be null or absent, which needs no word. */
const isNothing = (schema: z.ZodType) => (schema._zod.def as Definition).type === "null";

function alternatives(options: readonly z.ZodType[]): string {
  const texts = options.filter((each) => !isNothing(each)).map(valuesOf);
  // Integers that a number can't hold are bigints.
  const whole = texts.includes("an integer of 64 bits");
  const told = whole ? texts.filter((text) => !/^an integer( from|$)/.test(text)) : texts;
  return [...new Set(told)].join(", or ");
}

/** The same of a list's elements. */
function severalOf(element: z.ZodType): string {
  const { type } = element._zod.def as Definition;
  if (type === "array") return `lists of ${valuesOf(element)}`;
  const one = valuesOf(element);
  return one.startsWith("`") ? `of ${one}` : `${one.split(" ")[1]}s`;
}

/** What a field may be, in words. */
function valuesOf(schema: z.ZodType): string {
  const definition = schema._zod.def as Definition;
  const { type, innerType, options = [], element, most, entries, values } = definition;
  switch (type) {
    case "optional":
    case "nullable":
      return innerType ? valuesOf(innerType) : "";
    case "union":
      return alternatives(options);
    case "array":
      return `up to ${grouped.format(most ?? 0)} ${element ? severalOf(element) : ""}`;
    case "number":
      return numbers(definition);
    case "bigint":
      return "an integer of 64 bits";
    case "enum":
      return Object.values(entries ?? {})
        .map((value) => `\`${value}\``)
        .join(", ");
    case "literal":
      return (values ?? []).map((value) => `\`${value}\``).join(", ");
    case "string":
      return "a text";
    case "boolean":
      return "true or false";
    default:
      return "an object";
  }
}

export interface FieldRow {
  name: string;
  /** The kinds of requests that have it. */
  where: string;
  values: string;
}

/** All fields but `anabranch`, by their names. */
export function fieldRows(): FieldRow[] {
  const kinds = Object.entries(bodies);
  const names = [...new Set(kinds.flatMap(([, { shape }]) => Object.keys(shape)))];
  return names.sort().map((name) => {
    const having = kinds.flatMap(([kind, { shape }]) => {
      const schema = (shape as Record<string, z.ZodType>)[name];
      return schema ? [{ kind, values: valuesOf(schema) }] : [];
    });
    const all = [...new Set(having.map(({ values }) => values))];
    const of = (values: string) =>
      having.filter((each) => each.values === values).map(({ kind }) => kind);
    return {
      name,
      where: having.length === kinds.length ? "all" : having.map(({ kind }) => kind).join(", "),
      values:
        all.length === 1
          ? (all[0] ?? "")
          : all.map((values) => `${of(values).join(", ")}: ${values}`).join("; "),
    };
  });
}
