import { textOfParts } from "@anabranch/shared/parts.ts";
import { describe, expect, it } from "vitest";
import { cut } from "./cut.ts";

/** The parts in brief: serial texts, and stages as their titles. Short texts branch too. */
function outline(text: string, prompt = ""): (string | string[])[] {
  const { parts } = cut(text, prompt, { minGain: -100 });
  expect(textOfParts(parts)).toBe(text);
  return parts.map((part) =>
    "serial" in part ? part.serial : part.parallel.map(({ title }) => title),
  );
}

const stages = (text: string, prompt = "") => outline(text, prompt).filter(Array.isArray);

describe("lists", () => {
  it("are cut item by item, each with its own line end", () => {
    const text =
      "Some tips:\n\n1. **Plan**: Make a list of tasks.\n2. **Rest**: Take a break.\n\nThat is all.";
    expect(cut(text, "", { minGain: -100 }).parts).toEqual([
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

  it("keep nested content and end alike if blank lines separate the items", () => {
    const text =
      "- Tokyo: large city\n  - in Japan\n\n- Paris: smaller city\n  - in France\n\nEnd.";
    expect(cut(text, "", { minGain: -100 }).parts).toEqual([
      {
        parallel: [
          { title: "Tokyo", body: "- Tokyo: large city\n  - in Japan\n\n" },
          { title: "Paris", body: "- Paris: smaller city\n  - in France\n\n" },
        ],
      },
      { serial: "End." },
    ]);
  });

  it("may be broken up by code between their numbers", () => {
    const text =
      "Two ways to print:\n\n1. Using a function:\n\n```\nprint(1)\n```\n\n2. Using a method:\n\n```\nout.print(1)\n```\n";
    expect(stages(text)).toEqual([["function", "method"]]);
  });

  it("are cut inside an item of a list that is refused", () => {
    const text =
      "1. Step 1: choose a color from these examples:\n   - Red: a warm color\n   - Blue: a cold color\n2. Step 2: paint the wall with it\n";
    expect(stages(text)).toEqual([["Red", "Blue"]]);
  });

  it("stay serial inside a step", () => {
    const list = "   - The window is white and wide\n   - The prompt is green and small\n";
    const text = `1. Keys and boxes\n${list}2. Copies of both on the other side\n`;
    expect(stages(`These are the steps:\n\n${text}`)).toEqual([]);
    expect(stages(`These are the things:\n\n${text}`)).toHaveLength(1);
  });

  it("may come in several stages with text between", () => {
    const list = (a: string, b: string) =>
      `- ${a} is the first thing\n- ${b} is the second thing\n`;
    expect(stages(`${list("Red", "Blue")}\nNow for others.\n\n${list("Oak", "Elm")}`)).toHaveLength(
      2,
    );
  });

  it("give one stage if two follow each other, because no plan may follow a join", () => {
    const text =
      "- Red is a warm color\n- Blue is a cold color\n\n1. Oak is a hard wood\n2. Elm is a hard wood";
    expect(stages(text)).toHaveLength(1);
  });

  it("end before a paragraph that follows without a blank line", () => {
    const list = "- Cats: quiet animals.\n- Dogs: loyal animals.\n";
    expect(outline(`${list}Overall, both are fine pets.`)).toEqual([
      ["Cats", "Dogs"],
      "Overall, both are fine pets.",
    ]);
  });

  it("keep lines that are only wrapped", () => {
    const wrapped = "- Cats: quiet\nanimals.\n- Dogs: loyal.\nThey need a walk.\n";
    expect(outline(wrapped)).toEqual([["Cats", "Dogs"]]);
    expect(outline("- Cats: quiet animals.\n- Dogs: loyal\nAnimals they are.")).toEqual([
      ["Cats", "Dogs"],
    ]);
  });

  it("are two stages around an item that only mentions earlier ones", () => {
    const text =
      "- Tea: a hot drink\n- Milk: a cold drink\n- Also, there is juice here\n- Water: good for you\n- Wine: a drink too\n";
    expect(outline(text)).toEqual([
      ["Tea", "Milk"],
      "- Also, there is juice here\n",
      ["Water", "Wine"],
    ]);
  });

  it("exclude what opens or closes them", () => {
    const text =
      "- I. Introduction: there are several pets\n- Cats: quiet animals\n- Dogs: loyal animals\n- IV. Conclusion: both are fine pets\n";
    expect(stages(text)).toEqual([["Cats", "Dogs"]]);
  });

  it("may have Windows line ends, tabs, emoji and no last line end", () => {
    const text = "Ideas 🎉:\r\n\r\n*\tÄpfel: sehr gut und süß\r\n*\tBirnen: saftig, gut 🍐";
    expect(outline(text)).toEqual(["Ideas 🎉:\r\n\r\n", ["Äpfel", "Birnen"]]);
  });
});

describe("sections and bold leads", () => {
  const asked = "Compare the two.";
  it("are cut if the prompt asks for several things", () => {
    const text =
      "Intro.\n\n**Cost**: It is cheap to buy.\n\n**Speed**: It is quick to run.\n\nIn short, good.";
    expect(outline(text, asked)).toEqual(["Intro.\n\n", ["Cost", "Speed"], "In short, good."]);
  });

  it("end before the closing section", () => {
    const text =
      "# All\n\n## One\n\nFirst part here.\n\n## Two\n\n- a list\n- inside\n\n## Conclusion\n\nDone.";
    expect(outline(text, asked)).toEqual(["# All\n\n", ["One", "Two"], "## Conclusion\n\nDone."]);
  });

  it("stay serial if nothing shows that they are independent", () => {
    const text = "## Aims\n\nWe want more trees.\n\n## Funds\n\nWe need more money.\n";
    expect(stages(text, "Draft a proposal for a park.")).toEqual([]);
  });

  it("may be labels with the block that follows", () => {
    const text =
      "Pros:\n\n- It is cheap to buy and to keep.\n\nCons:\n\n- It is slow to start and to stop.\n";
    expect(stages(text, "What are the pros and cons?")).toEqual([["Pros", "Cons"]]);
  });
});

describe("tables", () => {
  it("are cut row by row below the head", () => {
    const text =
      "| City | Land |\n|---|---|\n| Tokyo | Japan, in the east |\n| Paris | France, in the west |\n| Total | two cities |\n";
    expect(outline(text)).toEqual([
      "| City | Land |\n|---|---|\n",
      ["Tokyo", "Paris"],
      "| Total | two cities |\n",
    ]);
  });
});

describe("paragraphs", () => {
  const text =
    "Cats are quiet animals that sleep most of the day.\n\nDogs are loyal animals that need a walk every day.\n\nBoth are fine.";
  it("are cut if their subjects are named together before", () => {
    expect(stages(text, "What is the difference between cats and dogs?")).toEqual([
      ["Cats", "Dogs"],
    ]);
  });
  it("stay serial if their subjects are not named together", () => {
    expect(stages(text, "Tell me about pets.")).toEqual([]);
  });

  it("are cut if they enumerate reasons, like sentences that do", () => {
    const reasons = [
      "First, the city has good trains for everybody.",
      "Second, the parks are open all night long.",
      "Finally, rents have stayed low for years.",
    ];
    const prompt = "Why move there?";
    const intro = "There are three reasons.";
    expect(stages([intro, ...reasons].join("\n\n"), prompt)[0]).toHaveLength(3);
    expect(stages([intro, ...reasons].join(" "), prompt)[0]).toHaveLength(3);
  });

  it("stay serial if they have one subject under two names", () => {
    const text =
      "The Balfour Declaration was a letter of the year 1917.\n\nThe declaration was a step that many had waited for.\n";
    expect(stages(text, "Is the declaration, the one by Balfour, a letter?")).toEqual([]);
  });

  it("stay serial if they narrate", () => {
    const text =
      "First, we packed our bags for the trip.\n\nThen we drove to the sea with all of them.\n\nFinally, we swam.";
    expect(stages(text, "What did you do?")).toEqual([]);
  });
});

describe("lines of sums", () => {
  it("are cut up to the line that uses their results", () => {
    const text = "Ann has 3 + 4 = 7 apples.\nBob has 5 + 6 = 11 pears.\nTogether 7 + 11 = 18.";
    expect(outline(text)).toEqual([["Ann", "Bob"], "Together 7 + 11 = 18."]);
  });

  it("are cut with the notes of GSM8K as without", () => {
    const text =
      "Films cost 9 * 5 = $<<9*5=45>>45.\nBooks cost 4 * 4 = $<<4*4=16>>16.\nIn all 45 + 16 = $<<45+16=61>>61.\n#### 61";
    expect(stages(text, "9 films at $5 and 4 books at $4: how much?")).toEqual([
      ["Films", "Books"],
    ]);
  });

  it("are named by all their words if the words before the numbers are equal", () => {
    const text =
      "He spent 4 * $3 = $12 on books.\nHe spent 2 * $.50 = $1 on pens.\nIn all 12 + 1 = 13.\n";
    expect(stages(text)).toEqual([["books", "pens"]]);
  });

  it("stay serial if one uses the result of another", () => {
    expect(stages("12 + 7 = 19\n19 - 5 = 14\n14 + 19 = 33")).toEqual([]);
  });

  it("stay serial if the source of a number is unknown", () => {
    const text = "Ann pays 3 * 40 = 120.\nBob pays 5 * 83 = 415.\nIn all 120 + 415 = 535.";
    expect(stages(text, "Ann buys 3 at 40 and Bob 5. What do they pay?")).toEqual([]);
  });

  it("stay serial if no later line uses them all", () => {
    expect(stages("Ann has 3 + 4 = 7 apples.\nBob has 5 + 6 = 11 pears.\nSo it is 11.")).toEqual(
      [],
    );
  });
});

describe("never cut", () => {
  const cases: Record<string, string> = {
    "a list in a code block": "```\n- Tokyo: a large city\n- Paris: a large city\n```",
    "a list in a quotation": "> - Tokyo: a large city\n> - Paris: a large city\n",
    "lines of a formula": "$$\n- x: the first unknown\n- y: the second unknown\n$$",
    "one item": "- Tokyo: a very large city",
    "the same title twice": "- Tokyo: a large city\n- Tokyo: in the east",
    "titles that only count": "- Button1: adds a row below\n- Button2: takes a row away\n",
    "bodies that are too short": "- cat\n- dog\n- cow",
    "an item whose content is elsewhere":
      "- The first of them is this one\n- The second of them is that one:\n\nText.",
    "a text with a marker in it": "- Tokyo: a large <|para|> city\n- Paris: a large city",
    "an empty answer": "",
  };
  for (const [name, text] of Object.entries(cases)) {
    it(name, () => expect(outline(text)).toEqual([text]));
  }

  it("a story", () => {
    const text = "- The fox: it was hungry and old\n- The hen: she was clever and young\n";
    expect(stages(text, "Write a story about a fox and a hen.")).toEqual([]);
    expect(stages(text, "Which animals are there?")).toHaveLength(1);
  });
});

describe("rules", () => {
  const text = "Some tips:\n\n- Plan: make a list of the tasks\n- Rest: take a break every hour\n";
  it("keep short answers serial", () => {
    expect(cut(text, "", { minGain: -100, minAnswerTokens: 1000 }).rejections[0]?.reason).toBe(
      "a short answer",
    );
  });
  it("reject a stage that saves too few steps", () => {
    expect(cut(text, "", { minGain: 50 }).rejections[0]?.reason).toBe("saves no steps");
  });
  it("prefer two stages that save a little more than the one around them", () => {
    const nested = (name: string) =>
      ["a", "b", "c", "d"]
        .map((i) => `   - ${name}${i}: ${"it is a warm color ".repeat(3)}\n`)
        .join("");
    const item = (name: string) => `${name}: there are some examples:\n${nested(name.slice(0, 1))}`;
    const { stages } = cut(`Here are two types:\n\n1. ${item("Red")}2. ${item("Blue")}`, "");
    expect(stages.map(({ branches }) => branches.length)).toEqual([4, 4]);
  });
  it("limit the stages of an answer to those that save most", () => {
    const list = (words: number) =>
      `Here are some types:\n\n- Red ${"very warm ".repeat(words)}color\n- Blue ${"very cold ".repeat(words)}color\n\n`;
    const { stages } = cut(list(10) + list(30) + list(20), "", { maxStages: 2 });
    expect(stages.map(({ cost }) => cost.plain > 100)).toEqual([true, true]);
  });
  it("merge neighbours if there are more items than branches", () => {
    const items = Array.from(
      { length: 14 },
      (_, i) => `- Item${"abcdefghijklmn"[i]}: some words here\n`,
    );
    const { parts } = cut(items.join(""), "", { minGain: -100 });
    const [part] = parts;
    if (!part || !("parallel" in part)) throw new Error("not cut");
    expect(part.parallel).toHaveLength(7);
    expect(part.parallel[0]).toEqual({ title: "Itema, Itemb", body: items.slice(0, 2).join("") });
    expect(textOfParts(parts)).toBe(items.join(""));
  });
  it("keep a long list of bare names serial", () => {
    const items = Array.from({ length: 30 }, (_, i) => `${i + 1}. Tech-${"abcdefghij"[i % 10]}\n`);
    const { stages, rejections } = cut(items.join(""), "", { minGain: -100 });
    expect(stages).toEqual([]);
    expect(rejections.map(({ reason }) => reason)).toContain("a long list of bare names");
  });
});
