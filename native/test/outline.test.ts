// Outlines: an answer of a model without markers branches where its text begins a list.
import { describe, expect, it } from "vitest";
import type { EngineEvent, EngineRequest, OutlineRules } from "../src/index.ts";
import { type Answer, logOf, Serving } from "./answers.ts";
import { Chain, type ChainToken } from "./chain-model.ts";

const words = {
  sequentialTitles: ["step", "then", "第"],
  closingTitles: ["conclusion"],
  procedureWords: ["steps"],
};
const rulesOf = (chain: Chain, more: Partial<OutlineRules> = {}): OutlineRules => ({
  texts: chain.texts,
  ...words,
  ...more,
});

/** Tokens that follow each other. */
const run = (prefix: string, texts: readonly string[], then?: string): ChainToken[] =>
  texts.map((text, i) => {
    const next = i + 1 < texts.length ? `${prefix}${i + 1}` : then;
    return { name: `${prefix}${i}`, text, ...(next === undefined ? {} : { next }) };
  });

/**
 * A list of cities, one for each body. Marks are tokens of their own, and so is each title with its close: so all lanes know
 * which item they write. `bodies[i]` is what item i + 1 says; `after[i]` what follows it.
 */
function cities(bodies: readonly (readonly string[])[], after: Record<number, string> = {}): Chain {
  const names = ["Rome", "Oslo", "Cairo", "Lima"].slice(0, bodies.length);
  const mark = (n: number) => (n <= names.length ? `mark${n}` : "bye0");
  return new Chain([
    // The lowest token that says so: the side lane ends its lines with it, and knows three cities.
    { name: "line end", text: "\n", next: "mark3" },
    ...run("intro", ["Some", " cities", ":", "\n\n"], "mark1"),
    ...names.map((_, i) => ({ name: mark(i + 1), text: `${i + 1}. **`, next: `title${i + 1}` })),
    ...names.map((name, i) => ({
      ...{ name: `title${i + 1}`, text: `${name}**:`, next: `body${i + 1}-0` },
    })),
    ...bodies.flatMap((body, i) => run(`body${i + 1}-`, body, after[i + 1] ?? mark(i + 2))),
    ...run("bye", ["\n", "So", " go", "."]),
    ...["**:", ". **", ..."0123456789"].map((text) => ({ name: `spelled ${text}`, text })),
  ]);
}

/** Text of the lanes, hidden tokens left out. */
function documentOf(chain: Chain, { events }: Answer) {
  let trunk: { lane: number; ids: number[]; accepted: boolean; dropped: boolean; title: string } = {
    ...{ lane: 0, ids: [], accepted: true, dropped: false, title: "" },
  };
  const runs = [trunk];
  const branches = new Map<number, typeof trunk>();
  const of = (lane: number) => (lane === 0 ? trunk : branches.get(lane));
  for (const event of events) {
    if (event.kind === "token" && event.token.visible) of(event.lane)?.ids.push(event.token.id);
    if (event.kind === "released") {
      of(event.lane)?.ids.push(...event.tokens.map(({ id }) => id));
    } else if (event.kind === "stageOpened") {
      for (const { lane, title } of event.lanes) {
        const branch = { lane, ids: [], accepted: false, dropped: false, title: chain.text(title) };
        branches.set(lane, branch);
        runs.push(branch);
      }
    } else if (event.kind === "stageClosed") {
      trunk = { lane: 0, ids: [], accepted: true, dropped: false, title: "" };
      runs.push(trunk);
    } else if (event.kind === "branchAccepted") {
      const branch = branches.get(event.lane);
      if (branch) branch.accepted = true;
    } else if (event.kind === "branchClosed" && event.reason === 4) {
      const branch = branches.get(event.lane);
      if (branch) branch.dropped = true;
    }
  }
  const parts = runs.filter(({ accepted, dropped }) => accepted && !dropped);
  return {
    text: parts.map(({ ids }) => chain.text(ids)).join(""),
    branches: [...branches.values()],
  };
}

const ask = (chain: Chain, more: Partial<EngineRequest> = {}) => ({
  ...{ prompt: [chain.id("bye3"), chain.id("intro0")], maxTokens: 400, parallel: true },
  ...more,
});
const serve = (chain: Chain, more: Partial<OutlineRules> = {}) =>
  new Serving({ model: chain.folder, dtype: "fp32", outline: rulesOf(chain, more) });

/** OutlineEnd of the protocol. */
const end = { joined: 1, listEnded: 2, bodyDiffers: 3, noStage: 5 };

const long = (n: number, what: string) => [
  ...Array.from({ length: n }, (_, i) => ` ${what}${i}`),
  "\n",
];
const bodies = [long(30, "a"), long(12, "b"), long(20, "c")];

describe("a list", () => {
  it("is written in branches beside its first item, and reads as in serial mode", async () => {
    const chain = cities(bodies);
    const serving = serve(chain);
    const serial = await serving.answer(ask(chain, { parallel: false }));
    const answer = await serving.answer(ask(chain));
    const { text, branches } = documentOf(chain, answer);
    expect(text).toBe(documentOf(chain, serial).text);
    expect(text).toMatch(
      /^ cities:\n\n1\. \*\*Rome\*\*: a0 .*\n3\. \*\*Cairo\*\*: c0 .*\n\nSo go\.$/s,
    );
    expect(branches.map(({ title }) => title.trim())).toEqual(["Oslo**:", "Cairo**:"]);
    expect(answer.usage).toMatchObject({ stages: 1, branches: 2, droppedTokens: 0 });
    expect(answer.usage.outlineEnds).toEqual([end.joined]);
    expect(answer.usage.visibleTokens).toBe(serial.usage.visibleTokens);
    expect(answer.usage.steps).toBeLessThan(60);
    serving.expectAllFree();
  });

  it("ends where the model, having read its items, would not begin the next one", async () => {
    // After the second item the model says good-bye, so the third is dropped.
    const chain = cities(bodies, { 2: "bye0" });
    const serving = serve(chain);
    const serial = documentOf(chain, await serving.answer(ask(chain, { parallel: false })));
    const answer = await serving.answer(ask(chain));
    const { text, branches } = documentOf(chain, answer);
    expect(text).toBe(serial.text);
    expect(text).not.toContain("Cairo");
    expect(branches.map(({ accepted, dropped }) => [accepted, dropped])).toEqual([
      [true, false],
      [false, true],
    ]);
    expect(answer.usage.droppedTokens).toBeGreaterThan(9);
    expect(answer.usage.outlineEnds).toEqual([end.listEnded]);
    serving.expectAllFree();
  });

  it("leaves an item to the trunk that the model would have begun in another way", async () => {
    // The second item begins below its title, which no branch may do. Outlined again from there on, the third
    // would begin so, too, which it does not.
    const chain = cities([long(30, "a"), ["\n", ...long(12, "b")], long(20, "c")]);
    const serving = serve(chain);
    const serial = documentOf(chain, await serving.answer(ask(chain, { parallel: false })));
    const answer = await serving.answer(ask(chain));
    const { text, branches } = documentOf(chain, answer);
    expect(text).toBe(serial.text);
    expect(text).toContain("2. **Oslo**:\n b0");
    expect(branches.map(({ dropped }) => dropped)).toEqual([true, true, true]);
    expect(answer.usage.outlineEnds).toEqual([end.bodyDiffers, end.bodyDiffers, end.noStage]);
    serving.expectAllFree();
  });

  it("is outlined again where it goes on behind a stage", async () => {
    // With two items an outline, the trunk writes the third, and the fourth beside it is a branch.
    const chain = cities([...bodies, long(25, "d")]);
    const serving = serve(chain);
    const serial = documentOf(chain, await serving.answer(ask(chain, { parallel: false })));
    const answer = await serving.answer(ask(chain, { maxBranches: 2 }));
    const { text, branches } = documentOf(chain, answer);
    expect(text).toBe(serial.text);
    expect(branches.map(({ title, accepted }) => [title.trim(), accepted])).toEqual([
      ["Oslo**:", true],
      ["Lima**:", true],
    ]);
    expect(answer.usage).toMatchObject({ stages: 2, branches: 2, droppedTokens: 0 });
    expect(answer.usage.outlineEnds).toEqual([end.joined, end.joined]);
    serving.expectAllFree();
  });

  it("that ends with its first item is an answer without branches", async () => {
    const chain = cities(bodies, { 1: "bye0" });
    const serving = serve(chain);
    const serial = documentOf(chain, await serving.answer(ask(chain, { parallel: false })));
    const answer = await serving.answer(ask(chain));
    expect(documentOf(chain, answer).text).toBe(serial.text);
    serving.expectAllFree();
  });

  it("is never longer than max_tokens, and ends as in serial mode", async () => {
    const chain = cities(bodies);
    const serving = serve(chain);
    for (let maxTokens = 60; maxTokens < 100; maxTokens += 7) {
      const [serial, outlined] = await Promise.all([
        serving.answer(ask(chain, { maxTokens, parallel: false })),
        serving.answer(ask(chain, { maxTokens })),
      ]);
      expect(documentOf(chain, outlined).text).toBe(documentOf(chain, serial).text);
      expect(outlined.reason).toBe(serial.reason);
      expect(outlined.usage.visibleTokens).toBe(serial.usage.visibleTokens);
    }
    serving.expectAllFree();
  });

  it("is the same whatever runs beside it, and with KV that is taken away", async () => {
    const chain = cities(bodies);
    const asked = ask(chain, { maxTokens: 100 });
    const alone = await serve(chain).answer(asked);
    expect(alone.usage.branches).toBe(2);
    const serving = new Serving({
      ...{ model: chain.folder, dtype: "fp32", outline: rulesOf(chain), kvMib: 0.03 },
    });
    const { engine } = serving;
    // They run together only as far as they are submitted faster than they are answered.
    for (let round = 0; round < 20 && engine.load().preemptions === 0; round++) {
      const many = await Promise.all(Array.from({ length: 12 }, () => serving.answer(asked)));
      for (const each of many) expect(each.events.slice(1)).toEqual(alone.events.slice(1));
    }
    expect(engine.load().preemptions).toBeGreaterThan(0);
    serving.expectAllFree();
  });

  it.each([
    ["a list that ends early", bodies, { 2: "bye0" }],
    ["an item that the trunk writes", [bodies[0], ["\n", ...long(12, "b")], bodies[2]], {}],
    ["a later one", [bodies[0], bodies[1], ["\n", ...long(12, "c")]], {}],
  ] as const)("is continued by another engine from any step: %s", async (_, said, after) => {
    const chain = cities(
      said.map((body) => body ?? []),
      after,
    );
    const serving = serve(chain);
    const steps: EngineEvent[][] = [];
    const whole = await serving.ask(ask(chain), (events) => steps.push(events)).answer;
    for (let cut = 1; cut < steps.length; cut++) {
      const log = outlineLog(steps.slice(0, cut).flat());
      const again = await serving.answer(ask(chain, { log }));
      expect(documentOf(chain, again), `cut after ${cut}`).toEqual(documentOf(chain, whole));
      expect({ ...again.usage, cachedTokens: 0 }).toEqual({ ...whole.usage, cachedTokens: 0 });
    }
    serving.expectAllFree();
  });

  it("is not outlined in serial mode, with one branch, or without room", async () => {
    const chain = cities(bodies);
    const serving = serve(chain);
    for (const more of [{ parallel: false }, { maxBranches: 1 }, { maxTokens: 60 }]) {
      const { usage } = await serving.answer(ask(chain, more));
      expect(usage).toMatchObject({ stages: 0, outlineTokens: 0 });
    }
  });
});

function outlineLog(events: readonly EngineEvent[]) {
  const accepted = new Set(
    events.flatMap((event) => (event.kind === "branchAccepted" ? [event.lane] : [])),
  );
  return logOf(events).map((log) => ({ ...log, accepted: accepted.has(log.lane) }));
}

/** Pieces as a tokenizer cuts them. */
const pieces = (text: string): string[] =>
  text.match(/ *\n+| ?[^\s\p{L}\p{N}]+| ?\p{L}+|\p{N}| +/gu) ?? [];

/** Whether the engine outlines this text. */
async function outlines(text: string): Promise<boolean> {
  const chain = new Chain([
    ...run("text", ["start", ...pieces(text)]),
    ...["\n", " ", "-", "*", ".", ")", " **", "**", "#", "|", ..."0123456789"].map((each) => ({
      ...{ name: `spelled ${each}`, text: each },
    })),
  ]);
  const serving = serve(chain);
  const { usage } = await serving.answer({
    ...{ prompt: [chain.id("text0")], maxTokens: 400, parallel: true },
  });
  return usage.outlineTokens > 0;
}

describe("a list is recognised", () => {
  it.each([
    ["numbers and bold titles", "Tips:\n\n1. **Sleep well**: go to bed early."],
    ["a colon within the bold title", "Tips:\n1. **Sleep:** go to bed."],
    ["a bracket", "1) **Sleep** - go to bed."],
    ["a plain lead", "1. Sleep well: go to bed early."],
    ["dashes", "Tips:\n- **Sleep**: go to bed."],
    ["stars", "* **Sleep** – go to bed."],
    ["dashes with plain leads", "- Sleep: go to bed."],
    ["headings", "Intro\n\n## Sleep\n\nGo to bed."],
    ["numbered headings", "### 1. Sleep\nGo to bed."],
    ["bold paragraphs", "**Sleep**\n\nGo to bed."],
    ["titles on lines of their own", "1. **Sleep**\n   - Go to bed."],
    ["another language", "建议：\n\n1. **睡眠**：早点睡觉。"],
    ["a number in bold", "**1. Sleep**\nGo to bed."],
    ["rows of a table", "| City | Size |\n|---|---|\n| Rome | large |"],
    ["a nested list", "Text:\n   - **Sleep**: go to bed."],
  ])("with %s", async (_, text) => {
    expect(await outlines(text)).toBe(true);
  });

  it.each([
    ["code", "```\n1. **Sleep**: x\n```\n"],
    ["a quotation", "> 1. **Sleep**: go to bed."],
    ["a sentence", "1. Go to bed early. Then sleep."],
    ["names without texts", "1. **Rome**\n2. **Oslo**\n"],
    ["steps", "1. **Step one**: go to bed."],
    ["a procedure", "Follow these steps:\n\n1. **Bed**: go to it."],
    ["steps in a script without spaces", "1. **第一步**：早点睡觉。"],
    ["a conclusion", "**Conclusion**: go to bed."],
    ["a list that has begun", "3. **Sleep**: go to bed."],
    ["the answer's own title", "# Sleep\n\nGo to bed."],
    ["a number in a sentence", "It takes\n2.5 hours: a lot."],
    ["emphasis", "*Sleep* is good: go to bed."],
  ])("but not %s", async (_, text) => {
    expect(await outlines(text)).toBe(false);
  });
});
