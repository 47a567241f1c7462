import { describe, expect, it } from "vitest";
import { accepts } from "../../test/grammar-reader.ts";
import { grammarOf } from "./grammars.ts";
import { GrammarError } from "./network.ts";

const of = (schema: unknown) => grammarOf({ case: "jsonSchema", value: JSON.stringify(schema) });

/** What a schema's grammar says of texts. */
function takes(schema: unknown, texts: readonly string[]): string[] {
  const words = of(schema);
  return texts.filter((text) => accepts(words, text));
}

function refusal(schema: unknown): string {
  try {
    of(schema);
  } catch (error) {
    if (error instanceof GrammarError) return error.message;
    throw error;
  }
  return "held";
}

describe("a grammar of JSON Schema", () => {
  it("reads objects with their properties in order, and leaves out optional ones", () => {
    const schema = {
      type: "object",
      properties: { a: { type: "integer" }, b: { type: "boolean" }, c: { type: "null" } },
      required: ["b"],
    };
    const good = [
      '{"b":true}',
      '{"a": 1, "b": false}',
      '{\n  "a": -7,\n  "b": true,\n  "c": null\n}',
    ];
    const bad = ["{}", '{"a": 1}', '{"b": true, "a": 1}', '{"b": true,}', '{"b": true, "d": 1}'];
    expect(takes(schema, [...good, ...bad])).toEqual(good);
  });

  it("reads maps, and other properties beside named ones, whose names they can't have", () => {
    const map = { type: "object", additionalProperties: { type: "number" } };
    expect(takes(map, ["{}", '{"x": 1}', '{"x": 1, "y": -2.5e3}', '{"x": "1"}'])).toHaveLength(3);
    const mixed = { ...map, properties: { name: { type: "string" } } };
    const good = ['{"name": "a"}', '{"name": "a", "nam": 1}', '{"names": 1}', "{}"];
    expect(takes(mixed, [...good, '{"name": 1}', '{"x": "a"}'])).toEqual(good);
    const patterned = { type: "object", patternProperties: { "^x-": { type: "boolean" } } };
    expect(takes(patterned, ['{"x-a": true}', '{"a": true}'])).toEqual(['{"x-a": true}']);
  });

  it("reads numbers within bounds", () => {
    const number = (bounds: object) => {
      const words = of({ type: "number", ...bounds });
      const given = Object.entries(bounds) as [string, number][];
      const holds: Record<string, (x: number, limit: number) => boolean> = {
        minimum: (x, limit) => x >= limit,
        maximum: (x, limit) => x <= limit,
        exclusiveMinimum: (x, limit) => x > limit,
        exclusiveMaximum: (x, limit) => x < limit,
        multipleOf: (x, limit) => Math.abs(x / limit - Math.round(x / limit)) < 1e-9,
      };
      for (let x = -300; x <= 300; x++) {
        for (const text of [String(x), String(x / 10), (x / 100).toFixed(2)]) {
          if (text === "-0" || text === "-0.00") continue;
          const wanted = given.every(([keyword, limit]) => holds[keyword]?.(Number(text), limit));
          expect(accepts(words, text), `${text} within ${JSON.stringify(bounds)}`).toBe(wanted);
        }
      }
    };
    number({ minimum: -1.5, maximum: 2.25 });
    number({ exclusiveMinimum: 0 });
    number({ exclusiveMaximum: -0.5, minimum: -20 });
    number({ multipleOf: 0.05, minimum: 0 });
    const week = { type: "integer", multipleOf: 7, maximum: 100 };
    expect(takes(week, ["0", "7", "98", "-14", "100", "105", "13"])).toEqual([
      "0",
      "7",
      "98",
      "-14",
    ]);
    const age = { type: "integer", minimum: 0, maximum: 120 };
    expect(takes(age, ["0", "9", "120", "121", "-1", "00", "1.0", "007"])).toEqual([
      "0",
      "9",
      "120",
    ]);
  });

  it("reads strings by length, pattern and format", () => {
    const short = { type: "string", minLength: 1, maxLength: 2 };
    expect(takes(short, ['"a"', '"é\\n"', '"\\u00e9🙂"', '""', '"abc"', '"\\ud800"'])).toHaveLength(
      3,
    );
    const article = { type: "string", maxLength: 1_000_000 };
    expect(takes(article, [`"${"a".repeat(8_000)}"`, `"${"a".repeat(9_000)}"`])).toHaveLength(1);
    const code = { type: "string", pattern: "^[A-Z]{2}-\\d+$", maxLength: 5 };
    expect(takes(code, ['"AB-1"', '"AB-12"', '"AB-123"', '"xAB-1"'])).toEqual([
      '"AB-1"',
      '"AB-12"',
    ]);
    expect(takes({ type: "string", pattern: "b" }, ['"abc"', '"ac"'])).toEqual(['"abc"']);
    expect(takes({ type: "string", pattern: '^".$' }, ['"\\"x"', '"""', '"\\"\\\\"'])).toEqual([
      '"\\"x"',
      '"\\"\\\\"',
    ]);
    const day = { type: "string", format: "date" };
    expect(takes(day, ['"2024-02-29"', '"2023-02-29"', '"2023-13-01"'])).toEqual(['"2024-02-29"']);
  });

  it("reads lists, tuples, enumerations, unions and recursion", () => {
    const pair = { type: "array", items: { type: "integer" }, minItems: 1, maxItems: 2 };
    expect(takes(pair, ["[1]", "[1, 2]", "[1,2]", "[]", "[1, 2, 3]"])).toHaveLength(3);
    const tuple = { type: "array", prefixItems: [{ type: "string" }, { type: "null" }] };
    expect(takes(tuple, ['["a", null]', '["a"]', '["a", null, 1]'])).toEqual(['["a", null]']);
    const colour = { enum: ["red", "green", 3, null, { a: [1] }] };
    const listed = ['"red"', "3", "null", '{"a": [1]}'];
    expect(takes(colour, [...listed, '"re"', "4"])).toEqual(listed);
    const tree = {
      $ref: "#/$defs/node",
      $defs: {
        node: {
          type: "object",
          properties: { next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] } },
          required: ["next"],
        },
      },
    };
    expect(
      takes(tree, ['{"next": null}', '{"next": {"next": null}}', '{"next": {}}']),
    ).toHaveLength(2);
  });

  it("joins what must hold together", () => {
    const schema = {
      allOf: [
        { $ref: "#/$defs/named" },
        { type: "object", properties: { age: { type: "integer" } }, required: ["age"] },
      ],
      $defs: {
        named: { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
      },
    };
    expect(takes(schema, ['{"name": "a", "age": 1}', '{"name": "a"}', '{"age": 1}'])).toHaveLength(
      1,
    );
    const either = {
      type: "object",
      properties: { a: { type: "null" }, b: { type: "null" } },
      anyOf: [{ required: ["a"] }, { required: ["b"] }],
    };
    expect(takes(either, ["{}", '{"a": null}', '{"b": null}'])).toHaveLength(2);
  });

  it("refuses by name what it can't hold", () => {
    const list = { type: "array", uniqueItems: true };
    expect(refusal({ type: "object", properties: { x: list } })).toBe(
      "#/properties/x: 'uniqueItems' is not supported",
    );
    expect(refusal({ not: { type: "null" } })).toContain("'not'");
    expect(refusal({ type: "string", pattern: "(?=a)b" })).toContain("looks around");
    expect(refusal({ type: "string", pattern: "(" })).toContain("can't be read");
    expect(refusal({ type: "string", format: "iban" })).toContain('"iban"');
    expect(refusal({ oneOf: [{ type: "number" }, { type: "integer" }] })).toContain("'oneOf'");
    expect(refusal({ $ref: "https://example.com/schema" })).toContain("'$ref'");
    expect(refusal({ type: "text" })).toContain('"text"');
    expect(refusal({ type: "string", minLength: 3, maxLength: 1 })).toContain("'minLength'");
    expect(refusal(false)).toBe("no value can satisfy it");
    expect(refusal({ type: "object", properties: { a: { $ref: "#" } }, required: ["a"] })).toBe(
      "no value can satisfy it",
    );
  });

  it("refuses in bounded time what would grow without end", () => {
    const deep = JSON.parse(`${'{"items":'.repeat(500)}{}${"}".repeat(500)}`);
    const doubling: Record<string, unknown> = { d0: { type: "null" } };
    for (let i = 1; i < 40; i++) {
      const $ref = `#/$defs/d${i - 1}`;
      doubling[`d${i}`] = {
        allOf: [{ anyOf: [{ $ref }, { $ref }] }, { anyOf: [{ $ref }, { $ref }] }],
      };
    }
    const hostile = {
      deep,
      circle: { $ref: "#/$defs/a", $defs: { a: { anyOf: [{ $ref: "#/$defs/a" }, true] } } },
      doubling: { $ref: "#/$defs/d39", $defs: doubling },
      repetition: { type: "string", pattern: "^(a{1,1000}){1,1000}$" },
      exponential: { type: "string", pattern: "(a|b)*a(a|b){60}c" },
      lists: { type: "array", minItems: 50_000, items: { type: "string", minLength: 50_000 } },
      choices: { enum: Array.from({ length: 20_000 }, (_, i) => `${i}`.repeat(9)) },
    };
    for (const [name, schema] of Object.entries(hostile)) {
      expect(refusal(schema), name).not.toBe("held");
    }
  });
});

describe("the other grammars", () => {
  it("hold any object, an expression, or choices", () => {
    const object = grammarOf({ case: "jsonObject", value: true });
    expect(accepts(object, '{"a": [1, {"b": "\\u00e9"}], "c": {}}')).toBe(true);
    expect(accepts(object, "[1]")).toBe(false);
    const number = grammarOf({ case: "regex", value: "^\\d{3}-(x|yy)$" });
    expect(["123-x", "123-yy", "123-y", " 123-x"].map((text) => accepts(number, text))).toEqual([
      ...[true, true, false, false],
    ]);
    const choice = grammarOf({ case: "choice", value: { texts: ["yes", "yes, but", "née"] } });
    expect(["yes", "yes, but", "née", "yes,"].map((text) => accepts(choice, text))).toEqual([
      ...[true, true, true, false],
    ]);
  });
});
