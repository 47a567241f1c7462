import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Tokenizer } from "@huggingface/tokenizers";
import { describe, expect, it } from "vitest";
import { balancedRuns } from "./balanced-runs.ts";
import { cut } from "./cut.ts";
import { named, namesOf } from "./item-names.ts";
import { numbersIn, sumOf, workedWith } from "./numbers.ts";
import { mapOrdered } from "./ordered-map.ts";
import { selectSpans } from "./span-selection.ts";
import { estimate, stageCost } from "./stage-cost.ts";
import { Statistics } from "./statistics.ts";
import { shortened, titlesOf } from "./titles.ts";
import { readTokenizer } from "./tokenizer.ts";

describe("balanced runs", () => {
  it("minimise the largest run", () => {
    expect(balancedRuns([1, 1, 1, 9, 1, 1], 3)).toEqual([0, 3, 4]);
    expect(balancedRuns([5, 5, 5, 5], 2)).toEqual([0, 2]);
    expect(balancedRuns([3, 1], 5)).toEqual([0, 1]);
  });
});

describe("span selection", () => {
  const span = (start: number, end: number, worth: number) => ({ start, end, worth });
  const text = "abc def ghi jkl";
  const select = (spans: ReturnType<typeof span>[], maxSpans = 8) =>
    selectSpans(spans, ({ worth }) => worth, text, maxSpans).map(({ worth }) => worth);

  it("selects several small spans if they are worth more than the one around them", () => {
    expect(select([span(0, 11, 5), span(0, 3, 3), span(8, 11, 4)])).toEqual([3, 4]);
    expect(select([span(0, 11, 9), span(0, 3, 3), span(8, 11, 4)])).toEqual([9]);
  });
  it("selects neither two spans that touch, nor one without worth", () => {
    expect(select([span(0, 3, 3), span(3, 7, 4)])).toEqual([4]);
    expect(select([span(0, 3, 3), span(4, 7, 4)])).toEqual([4]);
    expect(select([span(0, 3, 0)])).toEqual([]);
  });
  it("selects at most the given number", () => {
    expect(select([span(0, 3, 1), span(5, 7, 3), span(9, 11, 2)], 2)).toEqual([3, 2]);
  });
});

describe("names", () => {
  const of = (...texts: string[]) => namesOf(texts.map(named));
  it("are the bold start, the heading, or the words before a colon or dash", () => {
    expect(of("1. **Plan ahead**: make a list", "## Rest and *sleep*\n\ntext")).toEqual([
      "Plan ahead",
      "Rest and sleep",
    ]);
    expect(of("- Tokyo: a city", "- Paris (France) - a city")).toEqual(["Tokyo", "Paris (France)"]);
  });
  it("are otherwise the first words, without function words at the end", () => {
    expect(of("- A fox in the forest was old", "- Hens of all colors live there")).toEqual([
      "A fox",
      "Hens of all colors",
    ]);
    expect(of("First, it is important to note that rain is rare", "- Snow is rare")).toEqual([
      "rain is rare",
      "Snow is rare",
    ]);
  });
  it("are longer if that distinguishes them", () => {
    expect(of("- Use the old red bike", "- Use the old red car")).toEqual([
      "Use the old red bike",
      "Use the old red car",
    ]);
  });
});

describe("titles", () => {
  const of = (...texts: string[]) => titlesOf(texts.map(named));
  const cases: Record<string, [names: string[], titles: string[]]> = {
    "are names that are short": [
      ["Take breaks: rest", "Exercise: run"],
      ["Take breaks", "Exercise"],
    ],
    "end before words that only continue a name": [
      ["Access and affordability: x", "Teacher training for rural schools: x", "Follow up: x"],
      ["Access", "Teacher training", "Follow up"],
    ],
    "drop a verb that says little before its object": [
      ["Create a dedicated workspace: x", "Make a list: x", "Avoid blue light: x"],
      ["dedicated workspace", "Make a list", "Avoid blue light"],
    ],
    "drop a noun that says little": [
      ["Curriculum development: x", "Key activities: x", "Lack of funding: x"],
      ["Curriculum", "Key activities", "Lack of funding"],
    ],
    "drop words that all names share": [
      ["You can look at prices", "You can look at reviews", "You can look at guests"],
      ["prices", "reviews", "guests"],
    ],
    "keep names in capitals together": [
      ["**Pride and Prejudice** is old", "**New York City** is big"],
      ["Pride and Prejudice", "New York City"],
    ],
    "are longer if they would be equal": [
      ["Benefits of space: x", "Space travel: x", "Space travel by rail: x"],
      ["Benefits of space", "Space travel", "Space travel by rail"],
    ],
    "keep calculations": [
      ["12 + 30: x", "5 + 6: x"],
      ["12 + 30", "5 + 6"],
    ],
  };
  for (const [claim, [names, titles]] of Object.entries(cases)) {
    it(claim, () => expect(of(...names.map((name) => `- ${name}`))).toEqual(titles));
  }
  it("are cut at whole words, without open brackets", () => {
    const short = (title: string) => title.length <= 12;
    expect(shortened("Global trade (since 1950)", short)).toBe("Global trade");
    expect(shortened("Internationalization", short)).toBe("");
  });
});

describe("numbers", () => {
  it("compare in any spelling", () => {
    expect(numbersIn("1,200 or 3.50")).toEqual(["1200", "3.5"]);
  });
  it("are read from a calculation", () => {
    expect(sumOf("So 2 boxes * $3 = $<<2*3=6>>6 in all")).toEqual({
      operands: ["2", "3"],
      result: "6",
    });
    expect(sumOf("no sum = here")).toBeUndefined();
  });
  it("are operands of an expression, or too specific to recur by chance", () => {
    expect(workedWith("5 + 6 = 11, with 7 and 1234")).toEqual(["5", "6", "1234"]);
  });
});

describe("the cost of a stage", () => {
  it("is the plan, the fork, the longest body and the join", () => {
    const count = (text: string) => text.split(" ").length;
    const cost = stageCost(
      [
        { title: "a b", body: "one two three" },
        { title: "c", body: "one two three four five" },
      ],
      count,
    );
    expect(cost.plain).toBe(8);
    expect(cost.steps).toBe(1 + 2 + 1 + 1 + 5 + 1);
    expect(cost.titles).toBe(3);
  });
});

describe("the tokenizer", () => {
  const folder = fileURLToPath(new URL("../../../models/small", import.meta.url));
  it("counts what it encodes", () => {
    const { count, encode } = readTokenizer(folder);
    const whole = new Tokenizer(JSON.parse(readFileSync(`${folder}/tokenizer.json`, "utf8")), {});
    for (const text of ["", "Hello, world!\n\n  - 12.5% é🎨", "don't   stop\r\n\t\u2028x"]) {
      expect(count(text)).toBe(text === "" ? 0 : whole.encode(text).ids.length);
      expect(encode(text)).toHaveLength(count(text));
    }
  });
  it("says which file is missing", () => {
    expect(() => readTokenizer("/nowhere")).toThrow("/nowhere/tokenizer.json");
  });
});

describe("statistics", () => {
  it("are shares of answers, tokens and branches", () => {
    const statistics = new Statistics(estimate);
    const body = "a very warm color that everybody likes to see on a cold day in winter";
    const text = `Two types:\n\n- Red: ${body}\n- Blue: ${body}\n`;
    statistics.add("a", text, cut(text));
    statistics.add("b", "Nothing here.", cut("Nothing here."));
    const all = statistics.summary();
    expect(all).toMatchObject({
      answers: 2,
      parallel: 1,
      ppd: 0.5,
      stages: 1,
      branches: 2,
      abn: 2,
    });
    expect(all.roundTripFailures).toBe(0);
    expect(all.speedUp.parallel.mean).toBe(all.speedUp.parallel.max);
    expect(all.speedUp.all.mean).toBeCloseTo(((all.speedUp.parallel.mean ?? 0) + 1) / 2);
    expect(all.categories.a?.ppd).toBe(1);
    expect(all.categories.b?.speedUp.parallel.mean).toBeNull();
    expect(all.histogram.reduce((sum, [, number]) => sum + number, 0)).toBe(1);
  });
  it("count an answer that differs from its joined parts", () => {
    const statistics = new Statistics(estimate);
    statistics.add("a", "other text", cut("Nothing here."));
    expect(statistics.summary().roundTripFailures).toBe(1);
  });
});

describe("an ordered map", () => {
  async function* numbers() {
    yield* [30, 1, 10, 2];
  }
  it("keeps the order with several items in flight, and no more than allowed", async () => {
    let inFlight = 0;
    let max = 0;
    const out: number[] = [];
    for await (const n of mapOrdered(numbers(), 3, async (n) => {
      max = Math.max(max, ++inFlight);
      await new Promise((done) => setTimeout(done, n));
      inFlight--;
      return n;
    })) {
      out.push(n);
    }
    expect(out).toEqual([30, 1, 10, 2]);
    expect(max).toBe(3);
  });
  it("ends with the first failure", async () => {
    const all = async () => {
      for await (const _ of mapOrdered(numbers(), 2, async (n) => {
        if (n === 1) throw new Error("one");
        return n;
      }));
    };
    await expect(all()).rejects.toThrow("one");
  });
});
