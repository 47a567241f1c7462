import { readFileSync } from "node:fs";
import { type AnswerPart, textOfParts } from "@anabranch/shared/parts.ts";
import { expect, it } from "vitest";
import { cut } from "./cut.ts";

interface Fixture {
  samples: {
    name: string;
    response: string;
    parts: AnswerPart[];
    prompt_ids: number[];
    ids: number[];
    positions: number[];
    lanes: number[];
    sampled: number[];
  }[];
}

const file = new URL("../../../shared/fixtures/pieces.json", import.meta.url);
const { samples } = JSON.parse(readFileSync(file, "utf8")) as Fixture;

for (const { name, response, parts, ...arrays } of samples) {
  it(`cuts the shared fixture's ${name} into its parts`, () => {
    expect(textOfParts(parts)).toBe(response);
    expect(cut(response, "", { minGain: -100 }).parts).toEqual(parts);
  });

  it(`has one position, lane and loss flag for every id of ${name}`, () => {
    const { ids, positions, lanes, sampled, prompt_ids } = arrays;
    expect(ids.slice(0, prompt_ids.length)).toEqual(prompt_ids);
    for (const list of [positions, lanes, sampled]) expect(list).toHaveLength(ids.length);
    const branches = parts.flatMap((p) => ("parallel" in p ? p.parallel : []));
    expect(Math.max(...lanes)).toBe(branches.length);
  });
}
