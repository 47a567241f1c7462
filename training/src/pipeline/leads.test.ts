import { describe, expect, it } from "vitest";
import { cut, defaultRules, maxLeadTokens } from "./cut.ts";
import { leadsOf, nameOfLead } from "./leads.ts";

const long =
  "a text that is long enough to be worth a branch of its own, since a stage must save steps";
const rules = { ...defaultRules, titles: "leads" as const, maxTitleTokens: maxLeadTokens };

describe("leads", () => {
  it.each([
    [
      ["1. **Plan**: x", "2. **Write** - y"],
      ["1. **Plan**:", "2. **Write** -"],
    ],
    [
      ["- Cost: it is low\n", "- Time: it is short\n"],
      ["- Cost:", "- Time:"],
    ],
    [
      ["   * **A bold one:** x", "   * **Another:** y"],
      ["   * **A bold one:**", "   * **Another:**"],
    ],
    [
      ["### First part\ntext", "### Second part\ntext"],
      ["### First part", "### Second part"],
    ],
    [
      ["| Rome | 3 |", "| Paris | 2 |"],
      ["| Rome |", "| Paris |"],
    ],
  ])("%j are set off by the text itself", (texts, leads) => {
    expect(leadsOf(texts)).toEqual(leads);
  });

  it("are first words where the text sets nothing off, as many as tell the items apart", () => {
    expect(leadsOf(["- Eat more fruit.", "- Sleep well at night."])).toEqual([
      "- Eat more",
      "- Sleep well",
    ]);
    expect(leadsOf(["1. Try to eat fruit", "2. Try to sleep"])).toEqual([
      "1. Try to eat",
      "2. Try to sleep",
    ]);
  });

  it("have names without mark, number and emphasis", () => {
    expect(nameOfLead("2. **Set goals**:")).toBe("Set goals");
    expect(nameOfLead("### Costs")).toBe("Costs");
    expect(nameOfLead("| Rome |")).toBe("Rome");
  });
});

describe("an answer cut at its leads", () => {
  const items = ["Cost", "Speed", "Safety"].map((name, i) => `${i + 1}. **${name}**: ${long}.\n`);
  const text = `There are three aspects:\n\n${items.join("")}\nThat is all.`;

  it("has parts that begin with their titles, and is the text again when joined", () => {
    const { parts } = cut(text, "Which aspects are there?", rules);
    const stage = parts.find((part) => "parallel" in part);
    if (!stage || !("parallel" in stage)) throw new Error("no stage was found");
    expect(stage.parallel.map(({ title }) => title)).toEqual([
      "1. **Cost**:",
      "2. **Speed**:",
      "3. **Safety**:",
    ]);
    for (const { title, body } of stage.parallel) expect(body.startsWith(title)).toBe(true);
    const joined = parts.map((part) =>
      "serial" in part ? part.serial : part.parallel.map(({ body }) => body).join(""),
    );
    expect(joined.join("")).toBe(text);
  });

  it("counts a lead once, in the plan, and its mark as a draft", () => {
    const count = (of: string) => of.match(/\w+|[^\w\s]+/g)?.length ?? 0;
    const { stages } = cut(text, "", { ...rules, count });
    const body = count(`${long}.`);
    // Each lead has five tokens: number, dot, bold mark, word, bold mark and colon. The marks of the second
    // and third are drafted.
    expect(stages[0]?.cost).toMatchObject({
      plain: 3 * (5 + body),
      steps: 3 + 5 + 2 + 2 + body,
      titles: 15,
    });
  });

  it("stays serial where two items have one name, or more items than a stage may have branches", () => {
    const twice = items.map((item) => item.replace(/\*\*\w+\*\*/, "**Cost**")).join("");
    expect(cut(`Three:\n\n${twice}`, "", rules).rejections[0]?.reason).toBe(
      "titles are not unique",
    );
    const many = Array.from({ length: 11 }, (_, i) => `- **Name ${"abcdefghijk"[i]}**: ${long}.\n`);
    expect(cut(`Many:\n\n${many.join("")}`, "", rules).stages).toEqual([]);
  });
});
