// JSON Schema as an automaton. Every value that it reads is valid; not every valid value can be written: objects
// have their properties in the order of the schema, and none that it does not name, unless it says how they are.
import { Alternatives, type Place, within } from "./alternatives.ts";
import { formats, numberFormats } from "./formats.ts";
import { JsonText } from "./json-text.ts";
import { constraintsOf, isSchema, keywordsOf, type Schema } from "./keywords.ts";
import { GrammarError, type Network, type NodeId } from "./network.ts";
import { readNumber } from "./numbers.ts";
import { ObjectText } from "./objects.ts";
import { Patterns, readPattern } from "./patterns.ts";

/** A larger maximum counts as this: each character and item takes a place of its own. */
const MOST = { maxLength: 8_192, maxItems: 4_096, maxProperties: Number.POSITIVE_INFINITY };
const types = ["null", "boolean", "integer", "number", "string", "array", "object"] as const;
type Type = (typeof types)[number];

/** Reads the values of a schema. @throws GrammarError naming what can't be held, and where */
export function readSchema(network: Network, from: NodeId, schema: unknown): NodeId {
  return new SchemaText(network, schema).read(from);
}

class SchemaText {
  readonly #network: Network;
  readonly #json: JsonText;
  readonly #patterns = new Patterns();
  readonly #root: unknown;
  readonly #alternatives: Alternatives;

  constructor(network: Network, root: unknown) {
    this.#network = network;
    this.#json = new JsonText(network);
    this.#root = root;
    this.#alternatives = new Alternatives(root);
  }

  read(from: NodeId): NodeId {
    return this.#value(from, this.#root, { path: "#", depth: 0, through: [] });
  }

  #value(from: NodeId, schema: unknown, place: Place): NodeId {
    const to = this.#network.node();
    for (const { schema: each, place: its } of this.#alternatives.of(schema, place)) {
      this.#plain(from, each, its, to);
    }
    return to;
  }

  #plain(from: NodeId, schema: Schema, place: Place, to: NodeId): void {
    const network = this.#network;
    if (schema.$ref !== undefined) {
      const path = this.#alternatives.pathOf(schema.$ref, place);
      const target = this.#alternatives.at(path, place);
      const through = [...place.through, path];
      // Also looks for circles that read nothing.
      this.#alternatives.of(target, { path, depth: place.depth, through }).forEach((each) => {
        if (each.schema.$ref !== undefined) this.#alternatives.target(each.schema.$ref, each.place);
      });
      const rule = this.#json.rule(`$ref ${path}`, (start) =>
        this.#value(start, target, { path, depth: place.depth + 1, through }),
      );
      network.call(from, rule, to);
      return;
    }
    const given = typesOf(schema, place.path);
    if (schema.const !== undefined || schema.enum !== undefined) {
      network.oneOf(from, this.#literals(schema, given, place), to);
      return;
    }
    if (Object.keys(schema).length === 0) {
      network.empty(this.#json.any(from), to);
      return;
    }
    for (const type of given) network.empty(this.#typed(from, type, schema, place), to);
  }

  #literals(schema: Schema, given: readonly Type[], { path }: Place): string[] {
    const listed = schema.enum === undefined ? [schema.const] : schema.enum;
    if (!Array.isArray(listed)) throw new GrammarError(`${path}: 'enum' must be a list`);
    const beyond = Object.keys(schema).find((each) => !["type", "enum", "const"].includes(each));
    if (beyond !== undefined) {
      throw new GrammarError(`${path}: '${beyond}' beside 'enum' or 'const' is not supported`);
    }
    const texts = listed
      .filter((value) => schema.type === undefined || given.some((type) => isOf(value, type)))
      .map((value) => this.#json.literal(value));
    if (schema.enum === undefined || schema.const === undefined) return texts;
    return texts.filter((text) => text === this.#json.literal(schema.const));
  }

  #typed(from: NodeId, type: Type, schema: Schema, place: Place): NodeId {
    const network = this.#network;
    switch (type) {
      case "null":
        return network.text(from, "null");
      case "boolean":
        return network.oneOf(from, ["true", "false"]);
      case "integer":
      case "number":
        return this.#number(from, type === "integer", schema, place);
      case "string":
        return this.#string(from, schema, place);
      case "array":
        return this.#array(from, schema, place);
      case "object":
        return this.#object(from, schema, place);
    }
  }

  #number(from: NodeId, integer: boolean, schema: Schema, place: Place): NodeId {
    const bound = (keyword: string) => {
      const value = schema[keyword];
      if (value === undefined) return {};
      if (typeof value === "number") return { [keyword]: value };
      throw new GrammarError(`${place.path}: '${keyword}' must be a number`);
    };
    const given: Record<string, number> = Object.assign({}, ...keywordsOf.number.map(bound));
    if (Object.keys(given).length === 0) return this.#json.number(from, integer);
    return located(place, () =>
      readNumber(
        this.#network,
        from,
        {
          ...(given.minimum !== undefined && { min: given.minimum }),
          ...(given.maximum !== undefined && { max: given.maximum }),
          ...(given.exclusiveMinimum !== undefined && { above: given.exclusiveMinimum }),
          ...(given.exclusiveMaximum !== undefined && { below: given.exclusiveMaximum }),
          ...(given.multipleOf !== undefined && { multipleOf: given.multipleOf }),
        },
        integer,
      ),
    );
  }

  #string(from: NodeId, schema: Schema, place: Place): NodeId {
    const { pattern, format } = schema;
    const { min, max } = limits(schema, "minLength", "maxLength", place.path);
    const source = pattern ?? this.#formatOf(format, place);
    if (source === undefined) return this.#json.string(from, min, max);
    if (typeof source !== "string") throw new GrammarError(`${place.path}: 'pattern' must be text`);
    if (pattern !== undefined && format !== undefined) {
      throw new GrammarError(`${place.path}: 'format' beside 'pattern' is not supported`);
    }
    return located(place, () => {
      const isFormat = pattern === undefined;
      let dfa = isFormat ? this.#patterns.format(source) : this.#patterns.parse(source, true);
      const bounded = min > 0 || max < Number.POSITIVE_INFINITY;
      if (bounded) dfa = this.#patterns.withLength(dfa, min, max);
      const opened = this.#network.text(from, '"');
      return this.#network.text(readPattern(this.#network, opened, dfa, true), '"');
    });
  }

  #formatOf(format: unknown, { path }: Place): string | undefined {
    if (format === undefined || numberFormats.has(String(format))) return undefined;
    const source = formats.get(String(format));
    if (source === undefined) {
      throw new GrammarError(
        `${path}: the format ${JSON.stringify(format)} is not supported; there are ${[...formats.keys()].join(", ")}`,
      );
    }
    return source;
  }

  #array(from: NodeId, schema: Schema, place: Place): NodeId {
    const { prefixItems, items } = schema;
    const { min, max } = limits(schema, "minItems", "maxItems", place.path);
    if (Array.isArray(items)) {
      throw new GrammarError(`${place.path}: 'items' must be a schema; lists are 'prefixItems'`);
    }
    if (prefixItems !== undefined) return this.#tuple(from, schema, { min, max }, place);
    if (items === false) return this.#network.text(from, min > 0 ? "" : "[]");
    const item = this.#item(items, within(place, "items"));
    return this.#json.list(from, "[", "]", item, { min, max });
  }

  /** An automaton of its own, because a list may read it at many places. */
  #item(schema: unknown, place: Place): (from: NodeId) => NodeId {
    if (schema === undefined || schema === true) return (from) => this.#json.any(from);
    const rule = this.#network.node();
    this.#network.end(this.#value(rule, schema, place));
    return (from) => this.#network.call(from, rule);
  }

  /** Items with a schema each. None is left out, and those after them come only where `minItems` asks. */
  #tuple(
    from: NodeId,
    schema: Schema,
    { min, max }: { min: number; max: number },
    place: Place,
  ): NodeId {
    const { prefixItems, items } = schema;
    const listed = this.#alternatives.list(prefixItems, place, "prefixItems");
    const rest = items === undefined ? false : items;
    const readers = listed
      .slice(0, max)
      .map((each, index) => this.#item(each, within(place, "prefixItems", index)));
    const readRest = this.#item(rest === false ? true : rest, within(place, "items"));
    if (rest === false && items === false && min > listed.length) {
      throw new GrammarError(`${place.path}: 'minItems' asks for more than 'prefixItems' has`);
    }
    let index = 0;
    const read = (at: NodeId) => (readers[index++] ?? readRest)(at);
    const least = Math.max(min, readers.length);
    return this.#json.list(from, "[", "]", read, {
      min: least,
      max: rest === false ? least : max,
    });
  }

  #object(from: NodeId, schema: Schema, place: Place): NodeId {
    const { min, max } = limits(schema, "minProperties", "maxProperties", place.path);
    const { properties = {}, required = [], additionalProperties, patternProperties } = schema;
    if (!isSchema(properties)) {
      throw new GrammarError(`${place.path}: 'properties' must be an object`);
    }
    if (!Array.isArray(required) || required.some((each) => typeof each !== "string")) {
      throw new GrammarError(`${place.path}: 'required' must be a list of names`);
    }
    const needed = new Set<string>(required);
    const named = Object.entries(properties).map(([name, each]) => ({
      name,
      required: needed.has(name),
      read: (at: NodeId) => this.#value(at, each, within(place, "properties", name)),
    }));
    // What must be there and has no schema of its own is like any other property.
    const strangers = [...needed].filter((name) => !Object.hasOwn(properties, name));
    const readRest = (at: NodeId) =>
      this.#value(at, additionalProperties ?? true, within(place, "additionalProperties"));
    if (strangers.length > 0 && patternProperties !== undefined) {
      throw new GrammarError(
        `${place.path}: 'required' names ${JSON.stringify(strangers[0])}, which is not in 'properties'`,
      );
    }
    named.push(...strangers.map((name) => ({ name, required: true, read: readRest })));
    const isMap = named.length === 0;
    const rest = this.#restOf(schema, isMap, readRest, place);
    return located(place, () =>
      new ObjectText(this.#json, this.#patterns).read(from, { named, rest, min, max }),
    );
  }

  /** How properties without a name in the schema look; undefined if there are none. */
  #restOf(schema: Schema, isMap: boolean, readRest: (at: NodeId) => NodeId, place: Place) {
    const { additionalProperties, patternProperties, propertyNames } = schema;
    if (patternProperties === undefined) {
      const open = isMap ? additionalProperties !== false : isSchema(additionalProperties);
      if (!open) return undefined;
      return { keys: this.#keysOf(propertyNames, place), read: readRest };
    }
    const entries = isSchema(patternProperties) ? Object.entries(patternProperties) : [];
    const [only] = entries;
    if (entries.length !== 1 || !only || propertyNames !== undefined) {
      throw new GrammarError(
        `${place.path}: 'patternProperties' must have one pattern, and no 'propertyNames' beside it`,
      );
    }
    if (!isMap) {
      throw new GrammarError(
        `${place.path}: 'patternProperties' beside 'properties' is not supported`,
      );
    }
    const [pattern, value] = only;
    const read = (at: NodeId) =>
      this.#value(at, value, within(place, "patternProperties", pattern));
    return { keys: pattern, read };
  }

  #keysOf(names: unknown, place: Place): string | undefined {
    if (names === undefined || names === true) return undefined;
    const { pattern, type, ...others } = isSchema(names) ? constraintsOf(names, place.path) : {};
    if (typeof pattern === "string" && Object.keys(others).length === 0) {
      return pattern;
    }
    throw new GrammarError(`${place.path}: of 'propertyNames' only 'pattern' is supported`);
  }
}

/** Adds to an error where it is. */
function located<Result>({ path }: Place, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof GrammarError) || error.message.startsWith("#")) throw error;
    throw new GrammarError(`${path}: ${error.message}`);
  }
}

function limits(schema: Schema, least: string, most: keyof typeof MOST, path: string) {
  const bound = (keyword: string, otherwise: number) => {
    const value = schema[keyword];
    if (value === undefined) return otherwise;
    if (Number.isInteger(value) && Number(value) >= 0) return Number(value);
    throw new GrammarError(`${path}: '${keyword}' must be a whole number`);
  };
  const [min, max] = [bound(least, 0), bound(most, Number.POSITIVE_INFINITY)];
  if (min > max) throw new GrammarError(`${path}: '${least}' is above '${most}'`);
  return {
    min,
    max: max > MOST[most] && max < Number.POSITIVE_INFINITY ? Math.max(min, MOST[most]) : max,
  };
}

/** The types that a value may have: those named, or those that the other keywords are about. */
function typesOf(schema: Schema, path: string): Type[] {
  const { type } = schema;
  if (type !== undefined) {
    const given: unknown[] = Array.isArray(type) ? type : [type];
    const unknown = given.find((each) => !types.some((known) => known === each));
    if (unknown !== undefined) {
      throw new GrammarError(`${path}: 'type' has ${JSON.stringify(unknown)}, which is no type`);
    }
    return given as Type[];
  }
  const about = Object.entries(keywordsOf).flatMap(([name, keywords]) =>
    keywords.some((keyword) => schema[keyword] !== undefined) ? [name as Type] : [],
  );
  return about;
}

function isOf(value: unknown, type: Type): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isSchema(value);
  if (type === "integer") return Number.isInteger(value);
  return typeof value === type;
}
