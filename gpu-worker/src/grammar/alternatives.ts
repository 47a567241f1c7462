// Which schemas a value may follow: anyOf, oneOf, allOf and references, resolved to schemas without them.
import { constraintsOf, isSchema, merged, type Schema } from "./keywords.ts";
import { GrammarError } from "./network.ts";

const MAX_DEPTH = 64;
const MAX_ALTERNATIVES = 1_000;
const MAX_STEPS = 20_000;

/** Where a schema stands, for errors; and which references led here without anything read. */
export interface Place {
  path: string;
  depth: number;
  through: readonly string[];
}

export const within = ({ path, depth }: Place, ...steps: (string | number)[]): Place => ({
  path: [path, ...steps].join("/"),
  depth: depth + 1,
  through: [],
});
const beside = (place: Place, ...steps: (string | number)[]): Place => ({
  ...within(place, ...steps),
  through: place.through,
});

/** A schema with its place. */
interface Alternative {
  schema: Schema;
  place: Place;
}

export class Alternatives {
  readonly #root: unknown;
  #steps = 0;

  /** @param root the schema that references point into */
  constructor(root: unknown) {
    this.#root = root;
  }

  /** Schemas without anyOf, oneOf, allOf and $ref, one of which holds for a value of `schema`. */
  of(schema: unknown, place: Place): Alternative[] {
    if (++this.#steps > MAX_STEPS) throw new GrammarError("the schema is too large to be held");
    if (place.depth > MAX_DEPTH) {
      throw new GrammarError(`${place.path}: more than ${MAX_DEPTH} schemas within each other`);
    }
    if (schema === true) return [{ schema: {}, place }];
    if (schema === false) return [];
    if (!isSchema(schema)) throw new GrammarError(`${place.path}: a schema must be an object`);
    const { anyOf, oneOf, allOf, $ref, ...rest } = constraintsOf(schema, place.path);
    const isAlone = Object.keys(rest).length === 0;
    if ($ref !== undefined && isAlone && anyOf === undefined && oneOf === undefined && !allOf) {
      return [{ schema: { $ref }, place }];
    }
    let out = [{ schema: rest as Schema, place }];
    const meet = (others: Alternative[]) => {
      if (out.length * others.length > MAX_ALTERNATIVES) {
        throw new GrammarError(`${place.path}: more than ${MAX_ALTERNATIVES} alternatives`);
      }
      out = out.flatMap((one) =>
        others.map((other) => ({
          schema: merged(this.#resolved(one), this.#resolved(other), place.path),
          place: Object.keys(one.schema).length === 0 ? other.place : one.place,
        })),
      );
    };
    for (const [index, each] of this.list(allOf, place, "allOf").entries()) {
      meet(this.#expanded(each, beside(place, "allOf", index)));
    }
    if ($ref !== undefined) meet(this.target($ref, place));
    for (const [keyword, listed] of Object.entries({ anyOf, oneOf })) {
      if (listed === undefined) continue;
      const found = this.list(listed, place, keyword).map((each, index) =>
        isAlone && out.length === 1 && !allOf && $ref === undefined
          ? this.of(each, beside(place, keyword, index))
          : this.#expanded(each, beside(place, keyword, index)),
      );
      if (keyword === "oneOf") this.#refuseUnlessApart(found, place);
      if (isAlone && out.length === 1 && Object.keys(out[0]?.schema ?? {}).length === 0) {
        out = found.flat();
      } else meet(found.flat());
    }
    return out;
  }

  /** The same, with references followed. */
  #expanded(schema: unknown, place: Place): Alternative[] {
    return this.of(schema, place).flatMap((each) =>
      each.schema.$ref === undefined ? [each] : this.target(each.schema.$ref, each.place),
    );
  }

  #resolved({ schema, place }: Alternative): Schema {
    if (schema.$ref === undefined) return schema;
    throw new GrammarError(`${place.path}: '$ref' beside other schemas is not supported here`);
  }

  target(ref: unknown, place: Place): Alternative[] {
    const path = this.pathOf(ref, place);
    return this.#expanded(this.at(path, place), {
      ...{ path, depth: place.depth + 1 },
      through: [...place.through, path],
    });
  }

  pathOf(ref: unknown, place: Place): string {
    if (typeof ref !== "string" || !/^#(\/|$)/.test(ref)) {
      throw new GrammarError(`${place.path}: '$ref' must point into the schema, as "#/$defs/name"`);
    }
    if (place.through.includes(ref)) {
      throw new GrammarError(`${place.path}: '$ref' to ${ref} leads back to itself`);
    }
    return ref;
  }

  /** The schema that a JSON pointer names. */
  at(ref: string, place: Place): unknown {
    let at: unknown = this.#root;
    for (const step of ref.split("/").slice(1)) {
      const name = decoded(step);
      const inside = typeof at === "object" && at !== null && Object.hasOwn(at, name);
      if (!inside) throw new GrammarError(`${place.path}: '$ref' names ${ref}, which is not there`);
      at = Reflect.get(at as object, name);
    }
    return at;
  }

  list(value: unknown, place: Place, keyword: string): unknown[] {
    if (value === undefined) return [];
    if (Array.isArray(value) && value.length > 0 && value.length <= MAX_ALTERNATIVES) return value;
    throw new GrammarError(
      `${place.path}: '${keyword}' must be a list of 1 to ${MAX_ALTERNATIVES} schemas`,
    );
  }

  /** Values of oneOf must be valid for one schema only. */
  #refuseUnlessApart(found: Alternative[][], place: Place): void {
    const sets = found.map((each) =>
      each.flatMap((one) =>
        one.schema.$ref === undefined ? [one] : this.target(one.schema.$ref, one.place),
      ),
    );
    for (const [i, left] of sets.entries()) {
      for (const right of sets.slice(i + 1)) {
        if (left.every((a) => right.every((b) => areApart(a.schema, b.schema)))) continue;
        throw new GrammarError(
          `${place.path}: a value could be valid for two schemas of 'oneOf'; tell them apart by type or by a required property with 'const', or use 'anyOf'`,
        );
      }
    }
  }
}

function decoded(step: string): string {
  const plain = step.replaceAll("~1", "/").replaceAll("~0", "~");
  try {
    return decodeURIComponent(plain);
  } catch {
    return plain;
  }
}
/** Whether no value can be valid for both, as far as that is easily seen. */
function areApart(a: Schema, b: Schema): boolean {
  const [left, right] = [knownTypes(a), knownTypes(b)];
  if (left && right && !left.some((type) => right.includes(type))) return true;
  const [one, other] = [valuesOf(a), valuesOf(b)];
  if (one && other) return !one.some((value) => other.includes(value));
  const [mine, theirs] = [a, b].map((each) => (isSchema(each.properties) ? each.properties : {}));
  const required = [a, b].map((each) => (Array.isArray(each.required) ? each.required : []));
  return Object.keys(mine ?? {}).some((name) => {
    if (!required.every((list) => list.includes(name))) return false;
    const [x, y] = [mine?.[name], theirs?.[name]];
    const [first, second] = [isSchema(x) && valuesOf(x), isSchema(y) && valuesOf(y)];
    return first && second && !first.some((value) => second.includes(value));
  });
}

const knownTypes = ({ type }: Schema): unknown[] | undefined => {
  if (type === undefined) return undefined;
  const list: unknown[] = Array.isArray(type) ? type : [type];
  return list.map((each) => (each === "integer" ? "number" : each));
};

const valuesOf = ({ enum: listed, const: only }: Schema): string[] | undefined => {
  if (only !== undefined) return [JSON.stringify(only)];
  return Array.isArray(listed) ? listed.map((each) => JSON.stringify(each)) : undefined;
};
