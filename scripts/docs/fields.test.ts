// The table of fields in docs/protocol.md is what the schemas say.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { root } from "../setup.mjs";
import { fieldRows } from "./fields.ts";

const page = readFileSync(join(root, "docs/protocol.md"), "utf8");
const [, section = ""] = /\n### Fields\n([\s\S]*?)\n### /.exec(page) ?? [];
const [, ...shown] = section
  .split("\n")
  .filter((line) => line.startsWith("| "))
  .map((line) => line.slice(2, -2).split(" | "));

it("has every field, the requests that have it, and its values, with a default", () => {
  const expected = fieldRows().map(({ name, where, values }) => [`\`${name}\``, where, values]);
  expect(shown.map((row) => row.slice(0, 3))).toEqual(expected);
  for (const row of shown) expect(row[3], row[0]).toMatch(/\S/);
});

it("tells ranges of numbers, lengths of lists and words", () => {
  const values = Object.fromEntries(fieldRows().map((row) => [row.name, row.values]));
  expect(values).toMatchObject({
    n: "an integer from 1 to 8",
    top_p: "a number above 0 to 1",
    seed: "an integer of 64 bits",
    stop: "a text, or up to 4 texts",
    truncation: "`disabled`",
    logprobs: "chat: true or false; completions: an integer from 0 to 5",
  });
});
