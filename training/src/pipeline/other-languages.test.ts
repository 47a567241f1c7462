import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { cut } from "./cut.ts";
import { isEnglish } from "./language.ts";

/** Answers with independent items (+) and with dependent ones (-): a line with the mark and the prompt, then the answer. */
const folder = new URL("../../data/dependence/", import.meta.url);

function casesOf(file: string) {
  const cases = readFileSync(new URL(file, folder), "utf8")
    .trim()
    .split(/\n\n(?=[+-] )/);
  return cases.map((text) => {
    const [, mark, prompt = "", answer = ""] = /^([+-]) (.*)\n([\s\S]*)$/.exec(text) ?? [];
    return { independent: mark === "+", prompt, answer };
  });
}

const isCut = ({ prompt, answer }: { prompt: string; answer: string }) =>
  cut(answer, prompt, { minGain: -100 }).stages.length > 0;

describe("answers in other languages", () => {
  const files = readdirSync(folder);
  it.each(files)("of %s are cut where their items are evidently independent", (file) => {
    const cases = casesOf(file);
    expect(cases.filter((each) => !each.independent && isCut(each))).toEqual([]);
    const independent = cases.filter((each) => each.independent);
    expect(independent.filter(isCut).length / independent.length).toBeGreaterThan(0.9);
  });
  it("are six languages with 32 answers each, and others without words of their own", () => {
    expect(files.filter((file) => casesOf(file).length === 32)).toHaveLength(6);
    expect(files).toContain("others.txt");
  });
});

describe("a text's language", () => {
  it("is told by its function words", () => {
    expect(isEnglish("Paris is the capital of France and has many museums.", "")).toBe(true);
    expect(isEnglish("Paris est la capitale de la France et compte des musées.", "")).toBe(false);
    expect(isEnglish("Париж — столица Франции.", "What is Paris?")).toBe(false);
  });
  it("is told by what stands around it if it has too few", () => {
    expect(isEnglish("1. Paris\n2. Rome", "Which cities are the largest?")).toBe(true);
    expect(isEnglish("1. Paris\n2. Rome", "Welche Städte sind die größten und warum?")).toBe(false);
  });
  it("is English if nothing tells, but for accents", () => {
    expect(isEnglish("1. Paris\n2. Rome", "")).toBe(true);
    expect(isEnglish("1. Hamuru dinlendirin\n2. Fırına verin", "")).toBe(false);
  });
});
