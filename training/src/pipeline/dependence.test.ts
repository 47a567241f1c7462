import { describe, expect, it } from "vitest";
import { checkDependence } from "./dependence.ts";
import type { ItemContext, ItemText } from "./item-text.ts";
import { asksForNarrative } from "./sequence.ts";

const noContext: ItemContext = {
  prompt: "",
  before: "",
  leadIn: "",
  sections: false,
  ordered: false,
  enumerated: false,
  english: true,
};

/** Items "Title: text". */
const items = (...texts: string[]): ItemText[] =>
  texts.map((text) => ({ title: text.split(":")[0] ?? "", text: `- ${text}` }));

const check = (texts: ItemText[], context: Partial<ItemContext> = {}) =>
  checkDependence(texts, { ...noContext, ...context });

const plain = items("Red: a warm color", "Blue: a cold color", "Gray: no color at all");

describe("independent items", () => {
  it("are one run", () => {
    expect(check(plain)).toEqual({ runs: [{ from: 0, to: 3 }] });
  });
  it("may be advice in the imperative", () => {
    const tips = items("Plan ahead: make a list", "Take breaks: go for a walk");
    expect(check(tips, { leadIn: "Here are some tips:", ordered: true })).toEqual({
      runs: [{ from: 0, to: 2 }],
    });
  });
  it("may all begin with the same pronoun", () => {
    const facts = items("It is large", "It is old", "It is in Japan");
    expect(check(facts)).toEqual({ runs: [{ from: 0, to: 3 }] });
  });
  it("may start with 'both' and the two things that it means", () => {
    const effects = items("Cost: Tea is cheap", "Health: Both tea and coffee are good for you");
    expect(check(effects)).toEqual({ runs: [{ from: 0, to: 2 }] });
  });
  it("may now and then look like a next step if the lead-in says that they are independent", () => {
    const tips = items("Plan: a list", "Rest: a walk", "Sleep: early", "Eat: After work, cook");
    const run = { runs: [{ from: 0, to: 3 }] };
    expect(check(tips, { leadIn: "Here are some tips:" })).toEqual(run);
    expect(check(tips)).toEqual({ reason: "goes on from the one before" });
    expect(check(tips.slice(1), { leadIn: "Here are some tips:" })).toEqual({
      reason: "goes on from the one before",
    });
  });
  it("may work with numbers of a question that asks for a total", () => {
    const sums = items("Tea: costs 3", "Milk: costs 4");
    const prompt = "Tea is 3 and milk is 4. How much is that in total, with a budget of 10?";
    expect(check(sums, { prompt })).toEqual({ runs: [{ from: 0, to: 2 }] });
  });
  it("may name what the prompt names", () => {
    const cities = items("Tokyo: larger than Paris", "Paris: smaller than Tokyo is");
    expect(check(cities, { prompt: "Compare Tokyo and Paris." })).toEqual({
      runs: [{ from: 0, to: 2 }],
    });
  });
});

describe("all items are dependent", () => {
  const cases: [string, ItemText[], Partial<ItemContext>, string][] = [
    ["numbered steps", items("Step 1: mix it", "Step 2: bake it"), {}, "numbered steps"],
    ["days", items("Day 1: we see Rome", "Day 2: we see Pisa"), {}, "numbered steps"],
    ["ingredients", items("Ingredients: flour", "Instructions: bake it"), {}, "a procedure"],
    ["quantities", items("2 cups flour", "1 tsp salt", "water for all"), {}, "a procedure"],
    ["a lead-in that says steps", plain, { leadIn: "Follow these steps:" }, "a procedure"],
    [
      "an ordered list that does what the prompt asks",
      plain,
      { prompt: "How do I install it?", ordered: true },
      "a procedure",
    ],
    [
      "things to do that nothing calls tips",
      items("Open it: now", "Close it: now"),
      {},
      "a procedure",
    ],
    [
      "an item that opens with then",
      items("Flour: mixed with water", "Warmth: then it takes an hour"),
      {},
      "goes on from the one before",
    ],
    [
      "a reference",
      items("Red: like the sky", "Blue: unlike the above color"),
      {},
      "refers to another part",
    ],
    [
      "an earlier result",
      items("Cost: 12 + 7 = 19", "Gain: 30 - 19 = 11"),
      {},
      "uses an earlier result",
    ],
    [
      "a name from earlier code",
      items("Server: `startServer` runs it", "Client: it calls `startServer`"),
      {},
      "uses a name from an earlier part",
    ],
    [
      "something introduced before",
      items("House: there is a garden.", "Dog: it plays in the garden."),
      {},
      "takes up what an earlier part introduced",
    ],
    [
      "an answer of a question",
      items("Question: how far", "Answer: ten miles"),
      {},
      "a part about another",
    ],
    [
      "parts for each of the parts before",
      items("Tickets: three of them", "Tasks for each ticket: many"),
      {},
      "a part about another",
    ],
    [
      "parts that point at what another named",
      items("The size of the market: large", "The share of this market: small"),
      {},
      "a part about another",
    ],
    [
      "points that make up their section's",
      items("Plots: which? (4 points)", "Groups: which? (11 points)"),
      { leadIn: "Section 3 (15 points)" },
      "parts of a total",
    ],
    [
      "hours that make up their level's",
      items("Basics: what it is (10 hours)", "Queries: how to ask (5 hours)"),
      { leadIn: "III. Advanced Level (Total Hours: 15)" },
      "parts of a total",
    ],
    [
      "a construction that adds one thing more at each item",
      items("Start with a point: anywhere", "Add a second: beside it", "Add a third: between"),
      {},
      "goes on from the one before",
    ],
    [
      "a state that an earlier part has reached",
      items("Shares: cash rises by 60", "Goods: the sum remains balanced at $60"),
      {},
      "refers to another part",
    ],
    [
      "the steps of others done again",
      items("Reward: give a treat", "Patience: go on repeating the process"),
      {},
      "refers to another part",
    ],
    [
      "a process",
      items("Variation: traits differ", "Heritage: traits are passed on"),
      { prompt: "Explain the process of selection.", ordered: true, leadIn: "Some aspects:" },
      "a procedure",
    ],
    [
      "a part that takes up another's subject",
      items("Monomers: small ones", "Polymers: These monomers are combined"),
      {},
      "takes up what an earlier part introduced",
    ],
    [
      "what an earlier part must have chosen",
      items("Features: what differs", "Models: learn the identified features"),
      {},
      "refers to another part",
    ],
    [
      "shares of one whole",
      items("Team: gets 20%", "Sale: gets 50%", "Funds: get 30%"),
      {},
      "parts of a total",
    ],
    [
      "numbers that must come to a total",
      items("Red cards: 3 of them", "Blue cards: 4 of them"),
      { prompt: "Build a deck of exactly 40 cards." },
      "parts of a total",
    ],
    [
      "tips for cooking in the order of cooking",
      items("Choose a pan: a large one", "Add oil: not much"),
      { prompt: "How do I cook an egg?", leadIn: "Here are some tips:", ordered: true },
      "a procedure",
    ],
    [
      "a lead-in whose last sentence lists nothing side by side",
      items("Prepare: clean it", "Paint: use red"),
      {
        prompt: "How do I paint a wall?",
        leadIn: "There are many ways. Here is mine:",
        ordered: true,
      },
      "a procedure",
    ],
    ["choices", items("A) a cat", "B) a dog"), {}, "choices of a question"],
    [
      "formulas of a derivation",
      items("Left: \\(x^2\\)", "Right: \\(y^2\\)"),
      { prompt: "Solve it." },
      "works out formulas",
    ],
    [
      "a program in several parts",
      items("Page:\n```\n<p>\n```", "Style:\n```\np {}\n```"),
      {},
      "a program in several parts",
    ],
    [
      "sections nobody asked for",
      plain,
      { sections: true, prompt: "Draft a proposal." },
      "sections may build on each other",
    ],
  ];
  for (const [name, texts, context, reason] of cases) {
    it(`for ${name}`, () => expect(check(texts, context)).toEqual({ reason }));
  }
});

describe("an item that mentions earlier ones ends a run", () => {
  const cases: Record<string, string> = {
    "an addition": "Additionally: there is gray",
    "what is said again": "Gray: no color. Again, it may be cold",
    "a pronoun": "These are colors as well",
    "a name": "Gray: less than Blue Sky has",
  };
  for (const [name, text] of Object.entries(cases)) {
    it(`for ${name}`, () => {
      const texts = items("Deep Red: a warm color", "Blue Sky: a cold color", text);
      expect(check(texts)).toEqual({ runs: [{ from: 0, to: 2 }] });
    });
  }
  it("and begins the next", () => {
    const texts = items("Red: warm", "Also: blue", "Gray: none", "Pink: warm");
    expect(check(texts)).toEqual({ runs: [{ from: 1, to: 4 }] });
  });
  it("or stays serial between two runs", () => {
    const texts = items("Red: warm", "Blue: cold", "Also: none", "Pink: warm", "Gray: none");
    expect(check(texts)).toEqual({
      runs: [
        { from: 0, to: 2 },
        { from: 2, to: 5 },
        { from: 3, to: 5 },
      ],
    });
  });
  it("and there may be none", () => {
    expect(check(items("Red: warm", "Also: blue"))).toEqual({ reason: "adds to the one before" });
  });
});

describe("a prompt for a narrative", () => {
  it("is one for a story, a poem or a dialogue", () => {
    expect(asksForNarrative("Write a short story about a fox.")).toBe(true);
    expect(asksForNarrative("Compose a poem in three verses.")).toBe(true);
    expect(asksForNarrative("Conduct a debate between two people.")).toBe(true);
  });
  it("is not one for advice or facts", () => {
    expect(asksForNarrative("What should a good story have?")).toBe(false);
    expect(asksForNarrative("Give me some tips for saving money.")).toBe(false);
  });
});
