import { expect, it } from "vitest";
import { partsOf } from "./newcomer.ts";

it("a part lasts from the end of the one before", () => {
  const ends: [string, number][] = [
    ["clone", 2_500],
    ["start", 10_000],
  ];
  expect(partsOf(500, ends)).toEqual([
    { name: "clone", seconds: 2 },
    { name: "start", seconds: 7.5 },
  ]);
});
