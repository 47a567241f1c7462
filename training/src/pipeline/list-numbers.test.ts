import { describe, expect, it } from "vitest";
import { areInOrder, listNumbers } from "./list-numbers.ts";

describe("numbers of lists", () => {
  it("are those of each numbered list of three or more items", () => {
    const text = [
      "Some tips:\n\n1. **One**: a.\n2. **Two**: b.\n   - not numbered\n   - nor this\n   - nor that\n3. **Three**: c.\n",
      "\nMore:\n\n1. a\n2. b\n\nLess:\n\n4) a\n   1. inner\n   3. inner\n   2. inner\n5) b\n9) c\n",
    ].join("");
    expect(listNumbers(text)).toEqual([
      [1, 2, 3],
      [4, 5, 9],
      [1, 3, 2],
    ]);
    expect(listNumbers(text).map(areInOrder)).toEqual([true, false, false]);
  });

  it("are found across items that are paragraphs apart", () => {
    expect(listNumbers("1. a\n\n   more\n\n2. b\n\n3. c\n\n   ```\n   1. x\n   ```\n")).toEqual([
      [1, 2, 3],
    ]);
  });

  it("are none where nothing is numbered", () => {
    expect(listNumbers("- a\n- b\n- c\n\n2026. It was a year.")).toEqual([]);
  });
});
