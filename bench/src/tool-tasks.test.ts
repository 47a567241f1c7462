import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { describe, expect, it } from "vitest";
import { extractions, requests, tools } from "./tool-tasks.ts";

const ajv = new Ajv2020({ strict: false });
addFormats.default(ajv);

describe("the tasks of `bench -- tools`", () => {
  it("ask for every function, and for no other", () => {
    const names = tools.map((tool) => tool.function.name);
    expect(new Set(requests.map(({ fits }) => fits))).toEqual(new Set(names));
  });
  it.each(extractions)("have facts that their schema takes: $words", ({ schema, facts }) => {
    expect(ajv.validate(schema, facts)).toBe(true);
    expect(ajv.validate(schema, {})).toBe(false);
  });
});
