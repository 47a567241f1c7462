// Schemas as applications send them: made by rules from the things that they are about, and at random.

export type Schema = Record<string, unknown>;

const object = (properties: Schema, required = Object.keys(properties)): Schema => ({
  type: "object",
  properties,
  required,
  additionalProperties: false,
});
const listOf = (items: Schema, bounds: Schema = {}): Schema => ({
  type: "array",
  items,
  ...bounds,
});
const optional = (schema: Schema): Schema => ({ anyOf: [schema, { type: "null" }] });

const money = object({
  amount: { type: "number", minimum: 0, multipleOf: 0.01, maximum: 100_000 },
  currency: { enum: ["EUR", "USD", "JPY"] },
});
const address = object({
  street: { type: "string", minLength: 1, maxLength: 40 },
  postcode: { type: "string", pattern: "^\\d{5}$" },
  country: { type: "string", pattern: "^[A-Z]{2}$" },
});
const person = object(
  {
    name: { type: "string", maxLength: 30 },
    age: { type: "integer", minimum: 0, maximum: 130 },
    email: { type: "string", format: "email" },
  },
  ["name"],
);
const entities: Record<string, Schema> = {
  money,
  address,
  person,
  id: { type: "string", format: "uuid" },
  day: { type: "string", format: "date" },
  instant: { type: "string", format: "date-time" },
  host: { type: "string", format: "ipv4" },
  status: { type: "string", enum: ["open", "closed", "on hold"] },
  score: { type: "number", exclusiveMinimum: 0, maximum: 1 },
  flag: { type: "boolean" },
  note: optional({ type: "string", maxLength: 60 }),
  tags: listOf({ type: "string", pattern: "^[a-z]{2,8}$" }, { maxItems: 4 }),
  counts: {
    type: "object",
    additionalProperties: { type: "integer", minimum: 0 },
    maxProperties: 3,
  },
  point: { type: "array", prefixItems: [{ type: "number" }, { type: "number" }] },
};

/** Forms that an entity is asked for in. */
const forms: Record<string, (entity: Schema) => Schema> = {
  alone: (entity) => object({ value: entity }),
  list: (entity) => object({ items: listOf(entity, { minItems: 1, maxItems: 3 }) }),
  reasoned: (entity) => object({ reasoning: { type: "string", maxLength: 80 }, answer: entity }),
  shared: (entity) => ({
    ...object({ first: { $ref: "#/$defs/it" }, second: { $ref: "#/$defs/it" } }, ["first"]),
    $defs: { it: entity },
  }),
  either: (entity) => ({
    anyOf: [
      object({ kind: { const: "found" }, value: entity }),
      object({ kind: { const: "missing" }, why: { type: "string", maxLength: 20 } }),
    ],
  }),
};

const recursive: Schema[] = [
  {
    ...object({
      label: { type: "string", maxLength: 10 },
      children: listOf({ $ref: "#" }, { maxItems: 2 }),
    }),
  },
  {
    $ref: "#/$defs/expression",
    $defs: {
      expression: {
        anyOf: [
          { type: "integer", minimum: -9, maximum: 9 },
          object({
            operator: { enum: ["+", "*"] },
            left: { $ref: "#/$defs/expression" },
            right: { $ref: "#/$defs/expression" },
          }),
        ],
      },
    },
  },
];

/** Seventy-odd schemas, by name. */
export const schemas: ReadonlyMap<string, Schema> = new Map([
  ...Object.entries(entities).flatMap(([entity, schema]) =>
    Object.entries(forms).map(([form, make]) => [`${form} ${entity}`, make(schema)] as const),
  ),
  ...recursive.map((schema, i) => [`recursive ${i}`, schema] as const),
]);

/** A number generator (mulberry32), so that failures can be repeated. */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A schema of random keywords. */
export function randomSchema(random: () => number, depth = 3): Schema {
  const below = (n: number) => Math.floor(random() * n);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const bounds = (least: string, most: string, n: number): Schema => {
    const low = below(n);
    return {
      ...(random() < 0.5 && { [least]: low }),
      ...(random() < 0.7 && { [most]: low + below(n) }),
    };
  };
  const leaf: (() => Schema)[] = [
    () => ({ type: "string", ...bounds("minLength", "maxLength", 6) }),
    () => ({ type: "string", pattern: pick(["^a+b?$", "x.z", "^(é|ü|\\d)*$", '^["\\\\]{1,3}$']) }),
    () => ({ type: "string", format: pick(["date", "time", "uuid", "ipv6", "hostname", "uri"]) }),
    () => ({ type: pick(["integer", "number"]), ...bounds("minimum", "maximum", 200) }),
    () => ({ type: pick(["boolean", "null"]) }),
    () => ({ enum: ["a", "ab", 1, null, [true], 'q"'].slice(0, 1 + below(6)) }),
    () => ({ const: pick<unknown>(["x", 2.5, { a: { b: [] } }]) }),
    () => ({ type: ["string", "null"], maxLength: 5 }),
  ];
  const inner = () => randomSchema(random, depth - 1);
  const nested: (() => Schema)[] = [
    () => {
      const names = ["a", "b", 'c"d', "ünder_score", "e f"].slice(0, 1 + below(5));
      const properties = Object.fromEntries(names.map((name) => [name, inner()]));
      const required = names.filter(() => random() < 0.5);
      return {
        ...{ type: "object", properties, required },
        ...(random() < 0.5 && { additionalProperties: pick<unknown>([false, leaf[0]?.()]) }),
      };
    },
    () => listOf(inner(), bounds("minItems", "maxItems", 3)),
    () => ({ type: "array", prefixItems: [inner(), inner()], items: false, minItems: 2 }),
    () => ({ anyOf: [inner(), inner()] }),
    () => ({ type: "object", additionalProperties: inner(), maxProperties: 2 }),
    () => ({ allOf: [object({ x: inner() }), { type: "object", required: ["x"] }] }),
  ];
  return (depth > 0 && random() < 0.7 ? pick(nested) : pick(leaf))();
}
