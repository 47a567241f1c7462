import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { type FormsFigures, reasonOf, spread } from "./forms.ts";
import { schemasOf } from "./schema-files.ts";

describe("schemas of files", () => {
  it("are a schema, or those of an OpenAPI document with what they lead to", () => {
    const text = { type: "string" };
    const node = {
      properties: {
        next: { $ref: "#/components/schemas/Node" },
        text: { $ref: "#/components/schemas/Text" },
      },
    };
    const document = {
      openapi: "3.0.0",
      components: { schemas: { Node: node, Text: text, Other: text } },
    };
    const read = (name: string, value: unknown) =>
      schemasOf(name, value).map((each) => ({ name: each.name, schema: each.read() }));
    expect(read("a", document)).toEqual([
      { name: "a Node", schema: { ...node, components: { schemas: { Node: node, Text: text } } } },
      ...["Text", "Other"].map((name) => ({ name: `a ${name}`, schema: text })),
    ]);
    expect(read("b", { properties: { a: text } })).toEqual([
      { name: "b", schema: { properties: { a: text } } },
    ]);
    for (const other of [{ name: "package" }, [text], null, undefined, { type: "module" }]) {
      expect(read("c", other)).toEqual([]);
    }
  });

  it("are taken from all over a list", () => {
    expect(spread([0, 1, 2, 3, 4, 5, 6, 7], 4)).toEqual([0, 2, 4, 6]);
    expect(spread([0, 1], 4)).toEqual([0, 1]);
  });

  it("are refused for reasons that can be counted", () => {
    expect(reasonOf("#/properties/a b/items: 'uniqueItems' is not supported")).toBe(
      "'uniqueItems' is not supported",
    );
    expect(reasonOf('#/a: the format "iban" is not supported; there are date')).toBe(
      "the format … is not supported",
    );
  });
});

describe("npm run bench -- forms", () => {
  it("holds answers to schemas, and counts what is refused", () => {
    const folder = mkdtempSync(join(tmpdir(), "anabranch-forms-"));
    const word = { type: "object", properties: { a: { enum: ["b", "c"] } }, required: ["a"] };
    const list = { type: "object", properties: { a: { type: "array", uniqueItems: true } } };
    for (const [name, schema] of Object.entries({ word, list, other: 1 })) {
      writeFileSync(join(folder, `${name}.json`), JSON.stringify(schema));
    }
    try {
      const main = fileURLToPath(new URL("main.ts", import.meta.url));
      const args = [main, "forms", "--schemas", folder, "--answers", "3", "--json"];
      const { sources } = JSON.parse(
        execFileSync(process.execPath, args, {
          encoding: "utf8",
          stdio: ["ignore", "pipe", "ignore"],
        }),
      ) as FormsFigures;
      expect(sources).toEqual([
        {
          ...{ path: folder, schemas: 2, unreadable: 0, held: 1, never_whole: 0 },
          ...{ whole: 3, valid: 3, cut: 0, invalid: [] },
          refused: { "'uniqueItems' is not supported": 1 },
        },
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
