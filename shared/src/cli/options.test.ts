import { expect, it } from "vitest";
import { decimal, integer, integers, oneOf, required, UsageError } from "./options.ts";

it("accepts values within their bounds", () => {
  expect(required("in", "file")).toBe("file");
  expect([integer("n", "2", 2, 3), integer("n", "3", 2, 3)]).toEqual([2, 3]);
  expect(integers("lanes", "1,2,16", 1, 16)).toEqual([1, 2, 16]);
  expect(decimal("share", "0.5", 0, 1)).toBe(0.5);
  expect(oneOf("split", "train", ["train", "heldout"])).toBe("train");
});

it("refuses other values and names the option", () => {
  const refused: Record<string, () => unknown> = {
    in: () => required("in", ""),
    out: () => required("out", undefined),
    n: () => integer("n", "4", 2, 3),
    seed: () => integer("seed", "1.5", 0),
    width: () => integer("width", " ", 0),
    lanes: () => integers("lanes", "1,,2", 0),
    share: () => decimal("share", "many", 0, 1),
    split: () => oneOf("split", "test", ["train", "heldout"]),
  };
  for (const [name, read] of Object.entries(refused)) {
    expect(read).toThrow(UsageError);
    expect(read).toThrow(`--${name} `);
  }
});
