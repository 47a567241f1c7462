import { describe, expect, it } from "vitest";
import { mentionsSiblings } from "./siblings.ts";

const mentions = (text: string) => mentionsSiblings(text, [text]);

describe("a mention of earlier siblings", () => {
  it.each([
    "Unlike the two above, it is free.",
    "WSL runs in a virtual machine, unlike the other two.",
    "If neither of them works, call the hotline.",
    "If none of these helps, reinstall the driver.",
    "If that doesn't work, use a cable.",
    "When all else fails, restart it.",
    "It costs less than either of the above.",
    "Cheaper than both, but slower.",
    "The same as above, with a longer pause.",
    "A mix of the first two.",
    "It combines the strengths of the previous methods.",
    "Compared to the others, it needs no account.",
    "It has fewer parts than the former.",
    "The opposite of the first: pay debts at once.",
    "All of the above also hold for teams.",
    "It is like option 2 with a shorter lock.",
    "In comparison, cats need little care.",
    "Like these, it is made of wood.",
    "It is smaller than the other three.",
    "It is the least known of the three above.",
    "Use it together with the previous one.",
    "The options above are cheaper, but this one lasts.",
    "In addition to those already mentioned, there are grants.",
    "This third approach needs a server.",
    "Same here: keep it short.",
    "Besides these, there are smaller towns.",
    "Where those are too large, take a bicycle.",
    "Should this fail, ask a neighbour.",
  ])("is found: %s", (text) => expect(mentions(text)).toBe(true));

  it.each([
    "It grows well beside the other plants of a garden.",
    "If it rains, stay inside.",
    "It's the other way around: the Earth moves.",
    "Mix the first two letters of the word.",
    "It has two of the largest lakes in Europe.",
    "One of the oldest towns of the region.",
    "The sky above the town is dark at night.",
    "Like most metals, it conducts heat.",
    "It was the first of its kind.",
    "Some of them are open on Sundays.",
    "Restart the router. If that doesn't work, ask your provider.",
    "Both cats and dogs can live there.",
    "It is the last one to bloom.",
    "On the other hand of the clock stands a name.",
    "Options include trains and buses.",
  ])("is not found: %s", (text) => expect(mentions(text)).toBe(false));
});
