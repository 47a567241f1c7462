import { describe, expect, it } from "vitest";
import { cut, defaultLimits, plainText } from "./parts.ts";

/** The parts in short: serial texts as they are, groups as their titles. */
function outline(text: string): (string | string[])[] {
  const { parts } = cut(text);
  expect(plainText(parts)).toBe(text);
  return parts.map((p) => ("serial" in p ? p.serial : p.parallel.map((b) => b.title)));
}

describe("an answer's independent parts", () => {
  it("are the items of a list, each with its own line end", () => {
    const text =
      "Some tips:\n\n1. **Plan**: Make a list of tasks.\n2. **Rest**: Take a break.\n\nThat is all.";
    expect(cut(text).parts).toEqual([
      { serial: "Some tips:\n\n" },
      {
        parallel: [
          { title: "Plan", body: "1. **Plan**: Make a list of tasks.\n" },
          { title: "Rest", body: "2. **Rest**: Take a break.\n" },
        ],
      },
      { serial: "\nThat is all." },
    ]);
  });

  it("keep nested content and end alike in a list with blank lines", () => {
    const text =
      "- Tokyo: large city\n  - in Japan\n\n- Paris: smaller city\n  - in France\n\nEnd.";
    expect(cut(text).parts).toEqual([
      {
        parallel: [
          { title: "Tokyo", body: "- Tokyo: large city\n  - in Japan\n\n" },
          { title: "Paris", body: "- Paris: smaller city\n  - in France\n\n" },
        ],
      },
      { serial: "End." },
    ]);
  });

  it("are paragraphs with a bold lead", () => {
    const text =
      "Intro.\n\n**Cost**: It is cheap to buy.\n\n**Speed**: It is quick to run.\n\nIn short, good.";
    expect(outline(text)).toEqual(["Intro.\n\n", ["Cost", "Speed"], "In short, good."]);
  });

  it("are sections under headings of one depth, without the closing one", () => {
    const text =
      "# All\n\n## One\n\nFirst part here.\n\n## Two\n\n- a list\n- inside\n\n## Conclusion\n\nDone.";
    expect(outline(text)).toEqual(["# All\n\n", ["One", "Two"], "## Conclusion\n\nDone."]);
  });

  it("are lines of sums that don't use each other", () => {
    const text = "Let us see.\n\nApples: 3 + 4 = 7 apples\nPears: 5 + 6 = 11 pears\n\nTogether 18.";
    expect(outline(text)).toEqual(["Let us see.\n\n", ["Apples", "Pears"], "\nTogether 18."]);
  });

  it("are a paragraph's first sums, up to the line that needs them", () => {
    const text = "Ann has 3 + 4 = 7 apples.\nBob has 5 + 6 = 11 pears.\nTogether 7 + 11 = 18.";
    expect(outline(text)).toEqual([["Ann has 3 + 4", "Bob has 5 + 6"], "Together 7 + 11 = 18."]);
  });

  it("may come in several groups with text between", () => {
    const list = (a: string, b: string) =>
      `- ${a} is the first thing\n- ${b} is the second thing\n`;
    const text = `${list("Red", "Blue")}\nNow for others.\n\n${list("Oak", "Elm")}`;
    expect(outline(text).filter((p) => Array.isArray(p))).toHaveLength(2);
  });

  it("survive line ends of Windows, tabs, emoji and a missing last line end", () => {
    const text = "Ideas 🎉:\r\n\r\n*\tÄpfel: sehr gut und süß\r\n*\tBirnen: auch gut 🍐";
    expect(outline(text)).toEqual(["Ideas 🎉:\r\n\r\n", ["Äpfel", "Birnen"]]);
  });
});

describe("what depends on what came before stays serial", () => {
  const cases: Record<string, string> = {
    "numbered steps": "1. Step 1: mix the flour well\n2. Step 2: bake the bread well",
    "a sequel": "1. Mix the flour with water.\n2. Then bake it for an hour.",
    "a reference": "- Red: the color of the sky at dusk\n- Blue: unlike the above color",
    "an earlier result": "1. First we have 12 + 7 = 19.\n2. After it we have 19 - 5 = 14.",
    "sums that run on": "12 + 7 = 19\n19 - 5 = 14",
  };
  for (const [name, text] of Object.entries(cases)) {
    it(name, () => expect(outline(text)).toEqual([text]));
  }
});

describe("what is no group stays serial", () => {
  const cases: Record<string, string> = {
    "one item": "- Tokyo: a very large city",
    "the same title twice": "- Tokyo: a large city\n- Tokyo: in the east",
    "bodies that are too short": "- cat\n- dog\n- cow",
    "a list in a code block": "```\n- Tokyo: a large city\n- Paris: a large city\n```",
    "more items than branches": Array.from(
      { length: defaultLimits.branches + 1 },
      (_, i) => `- Item ${i}: some words here\n`,
    ).join(""),
    "an empty answer": "",
  };
  for (const [name, text] of Object.entries(cases)) {
    it(name, () => expect(outline(text)).toEqual([text]));
  }

  it("and a group straight after another, since no plan may follow a join", () => {
    const text =
      "- Red is a warm color\n- Blue is a cold color\n\n1. Oak is a hard wood\n2. Elm is a hard wood";
    expect(outline(text).filter((p) => Array.isArray(p))).toHaveLength(1);
  });
});

it("falls back to what is inside a refused group", () => {
  const text =
    "## Step 1\n\n- Red: a warm color\n- Blue: a cold color\n\n## Step 2\n\nThen look at it.";
  expect(outline(text)).toContainEqual(["Red", "Blue"]);
});
