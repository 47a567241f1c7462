// npm run evaluate as a caller sees it, and its arithmetic.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { repetitionOf } from "@anabranch/training/pipeline/repetition.ts";
import { afterAll, describe, expect, it } from "vitest";
import type { Evaluation } from "./command.ts";
import { byCategory, figuresOf } from "./figures.ts";
import { intervalOf, ratiosOf, shareOf, studentsT } from "./intervals.ts";
import { judge } from "./judge.ts";
import { pageOf } from "./page.ts";
import { type GivenAnswer, type Pair, PairFile, readPairs } from "./pairs.ts";
import { readSuite } from "./suites.ts";
import { figuresText } from "./table.ts";
import { worstOf } from "./worst.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const root = fileURLToPath(new URL("../../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "anabranch-evaluate-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

const evaluate = (...args: string[]) =>
  spawnSync(process.execPath, [main, ...args], { encoding: "utf8", cwd: root });

function write(name: string, rows: readonly object[]): string {
  writeFileSync(at(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return at(name);
}

const answer = (text: string, rest: Partial<GivenAnswer> = {}): GivenAnswer => ({ text, ...rest });

const pair = (id: string, model: GivenAnswer, against: GivenAnswer, category = ""): Pair => ({
  question: { id, category, prompt: `Prompt ${id}`, instructions: [], claims: [] },
  answers: { model, against },
});

describe("a run", () => {
  const prompts = [
    { id: "cities", category: "compare", prompt: "Compare Lisbon and Oslo." },
    { id: "sum", prompt: "What is 3 + 4?", claims: [{ contains: "7" }] },
    {
      id: "animals",
      prompt: "What are the lion and the tiger like?",
      instruction_id_list: ["punctuation:no_comma"],
      kwargs: [{}],
    },
  ];

  it("compares a model with its serial mode", { timeout: 240_000 }, () => {
    const suite = write("prompts.jsonl", prompts);
    const files = ["--out", at("out.jsonl"), "--scores", at("scores.jsonl")];
    const small = ["--model", "models/small"];
    const args = [
      ...small,
      "--suite",
      suite,
      ...files,
      "--page",
      at("page.html"),
      "--blind",
      "--json",
    ];
    const { status, stdout, stderr } = evaluate(...args, "--under", "models/small");
    expect(status, stderr).toBe(0);
    const got = JSON.parse(stdout) as Evaluation;
    expect(got.pairs).toBe(3);
    expect(got.coverage).toBeGreaterThan(0.5);
    expect(got.against.coverage?.mean).toBe(0);
    expect(got.speedup.steps.branched.n).toBe(2);
    expect(got.speedup.steps.branched.mean).toBeGreaterThan(1);
    expect(got.speedup.steps.branched.max).toBe(got.speedup.steps.all.max);
    expect(got.speedup.time.all.n).toBe(3);
    expect(got.model.all_claims).toMatchObject({ mean: 1, n: 1 });
    expect(got.model.prompt_strict?.n).toBe(1);
    expect(got.model.log_likelihood?.mean).toBeLessThan(0);
    expect(Object.keys(got.key ?? {})).toEqual(["cities", "sum", "animals"]);
    expect(readFileSync(at("page.html"), "utf8")).toContain("Compare Lisbon and Oslo.");
    expect(readFileSync(at("scores.jsonl"), "utf8").trim().split("\n")).toHaveLength(6);

    // The same again reads what is there, and answers nothing.
    const again = evaluate(...small, "--suite", suite, "--out", at("out.jsonl"), "--json");
    expect(again.stderr).toContain("3 pairs are in");
    expect(again.stderr).not.toContain("starting the gateway");
    expect((JSON.parse(again.stdout) as Evaluation).speedup).toEqual(got.speedup);
    const judged = evaluate("--answers", at("out.jsonl"), "--json");
    expect((JSON.parse(judged.stdout) as Evaluation).speedup).toEqual(got.speedup);
  });

  it.each([
    [["--suite", "none"], "--suite takes one of vicuna"],
    [["--suite", "rag", "--mode", "fast"], "--mode takes one of auto, parallel, serial"],
    [["--suite", "vicuna", "--data", "/none"], "--data names the folder"],
    [["--suite", "rag", "--blind"], "--blind needs --page"],
    [["--suite", "rag", "--answers", "x"], "leave --suite out"],
  ])("refuses %j", (args, message) => {
    const { status, stdout, stderr } = evaluate(...args);
    expect(stderr).toContain(message);
    expect(stdout).toBe("");
    expect(status).toBe(2);
  });
});

describe("figures", () => {
  const timed = (ms: number, steps: number, visibleTokens: number, stages: number) =>
    answer("One two three.", { ms, steps, visibleTokens, stages, branches: 2 * stages });

  it("compare time and steps per visible token", async () => {
    const pairs = [
      pair("a", timed(1000, 50, 100, 1), timed(3000, 200, 200, 0), "x"),
      pair("b", timed(2000, 100, 100, 0), timed(1000, 50, 50, 0), "y"),
    ];
    const judged = await Promise.all(pairs.map((each) => judge(each, undefined)));
    const { coverage, speedup, difference } = figuresOf(judged);
    expect(coverage).toBe(0.5);
    expect(speedup.time.branched).toMatchObject({ mean: 1.5, max: 1.5, n: 1 });
    expect(speedup.steps.branched).toMatchObject({ mean: 2, max: 2, n: 1 });
    expect(speedup.time.all).toMatchObject({ mean: 1.25, max: 1.5, n: 2 });
    expect(speedup.steps.all).toMatchObject({ mean: 1.5, max: 2, n: 2 });
    expect(difference.seconds?.mean).toBe(-0.5);
    expect(Object.keys(byCategory(judged))).toEqual(["x", "y"]);
  });

  it("count what became of outlines, and say where branching did harm", async () => {
    const said = "The sea is very wide.";
    const branched = { stages: 1, outlineEnds: ["joined", "no_stage"], finish: "length" };
    const pairs = [
      pair("worse", answer(`${said} ${said}`, branched), answer(said, { finish: "stop" }), "x"),
      pair("serial", answer(`${said} ${said}`, { stages: 0 }), answer(said), "x"),
      pair("as good", answer(said, { stages: 1, outlineEnds: ["joined"] }), answer(said), "x"),
    ];
    const judged = await Promise.all(pairs.map((each) => judge(each, undefined)));
    expect(figuresOf(judged).outline_ends).toEqual({ joined: 2, no_stage: 1 });
    expect(figuresOf(judged).plans).toEqual({ forked: 0, dropped: {} });
    expect(worstOf(judged).map(({ pair, reasons }) => [pair.question.id, reasons])).toEqual([
      ["worse", ["cut off: 100%, against 0%", "repeated sentences: 50%, against 0%"]],
    ]);
  });

  it("count plans, and numbered lists in branches", async () => {
    const list = "1. Eat.\n2. Sleep.\n3. Run.";
    const forked = { stages: 1, outlineEnds: [], droppedPlans: ["long_title"] };
    const pairs = [
      pair("in order", answer(list, forked), answer("None.")),
      pair("not", answer(list.replace("2", "3"), { ...forked, droppedPlans: [] }), answer(list)),
      pair("serial", answer(list, { stages: 0, droppedPlans: ["few_titles"] }), answer(list)),
    ];
    const figures = figuresOf(await Promise.all(pairs.map((each) => judge(each, undefined))));
    expect(figures.plans).toEqual({ forked: 2, dropped: { long_title: 1, few_titles: 1 } });
    expect(figures.numbered_lists).toEqual({ lists: 2, in_order: 1 });
    expect(figuresText(figures, {})).toContain("plans: 2 forked, 1 long_title, 1 few_titles");
    expect(figuresText(figures, {})).toContain("that branched: 2, 1 in order");
  });

  it("leave out what is unknown, and ratios without tokens", async () => {
    const judged = [await judge(pair("a", answer("One."), timed(1, 1, 0, 0)), undefined)];
    const { coverage, speedup, model, against } = figuresOf(judged);
    expect(coverage).toBeNull();
    expect(speedup.time.all).toEqual({ mean: null, low: null, high: null, max: null, n: 0 });
    expect(model.seconds).toBeUndefined();
    expect(against.seconds?.n).toBe(1);
    expect(model.words?.mean).toBe(1);
  });

  it("count claims and IFEval's instructions", async () => {
    const given = pair("a", answer("Seven, not 8."), answer("7 and 9"));
    const question = {
      ...given.question,
      claims: [{ contains: "7" }, { contains: "9" }],
      instructions: [
        { id: "punctuation:no_comma", parameters: {} },
        { id: "startend:quotation", parameters: {} },
      ],
    };
    const { model, against, difference } = figuresOf([
      await judge({ ...given, question }, async () => -2),
    ]);
    expect(model.claims_found?.mean).toBe(0);
    expect(against.claims_found?.mean).toBe(1);
    expect(against.all_claims?.mean).toBe(1);
    expect(model.instruction_strict).toMatchObject({ mean: 0, n: 2 });
    expect(against.instruction_strict).toMatchObject({ mean: 0.5, n: 2 });
    expect(against.prompt_strict?.mean).toBe(0);
    expect(difference.instruction_strict).toMatchObject({ mean: -0.5, n: 2 });
    expect(model.log_likelihood?.mean).toBe(-2);
  });
});

describe("an interval", () => {
  it("is Student's around a mean", () => {
    const { mean, low, high } = intervalOf([1, 2, 3, 4]);
    expect(mean).toBe(2.5);
    // 3.1824 is the table's quantile for three degrees of freedom.
    expect((high ?? 0) - 2.5).toBeCloseTo(3.1824 * Math.sqrt(5 / 3 / 4));
    expect(2.5 - (low ?? 0)).toBeCloseTo((high ?? 0) - 2.5);
    for (const [degrees, quantile] of [
      [1, 12.706],
      [6, 2.4469],
      [30, 2.0423],
      [1000, 1.9623],
    ] as const) {
      expect(studentsT(degrees)).toBeCloseTo(quantile, 2);
    }
  });

  it("is Wilson's around a share, so that it stays between 0 and 1", () => {
    const { mean, low, high } = shareOf([1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    expect(mean).toBe(1);
    expect(high).toBeCloseTo(1);
    expect(low).toBeCloseTo(0.7225, 3);
    expect(shareOf([0, 1]).low).toBeCloseTo(0.0945, 3);
    expect(shareOf([0, 0.5])).toMatchObject({ mean: 0.25, low: 0, high: 1 });
  });

  it("is unknown for one value, and so is all for none", () => {
    expect(intervalOf([3])).toEqual({ mean: 3, low: null, high: null, n: 1 });
    expect(ratiosOf([])).toEqual({ mean: null, low: null, high: null, max: null, n: 0 });
  });
});

describe("repetition", () => {
  it("counts sentences that come again in the same words", () => {
    const text =
      "The sea is very wide. It ends here.\n\n- **The sea** is very wide!\nThe sky is wide too.";
    // "It ends here" is too short to count.
    expect(repetitionOf(text).sentences).toBeCloseTo(1 / 3);
  });

  it("counts list items that say the same, whatever their order of words", () => {
    const items = [
      "1. Drink enough water every day",
      "2. Every day, drink enough water",
      "3. Sleep eight hours each night",
      "   - and never less than seven",
    ];
    expect(repetitionOf(items.join("\n")).items).toBeCloseTo(1 / 4);
    expect(repetitionOf("No list at all here.").items).toBeNull();
  });
});

describe("a page", () => {
  const pairs = [pair("a", answer("<b>model's</b>", { ms: 1000 }), answer("other & more"))];
  const names = { model: "M, auto", against: "M, serial" };
  const figures = figuresOf([]);

  it("shows both answers as text", () => {
    const worst = pairs.map((each) => ({ pair: each, reasons: ["cut <off>"] }));
    const page = pageOf(pairs, { names, figures, worst, key: undefined });
    expect(page).toContain('<li><a href="#a">a</a> cut &lt;off&gt;</li>');
    expect(page).toContain("&lt;b&gt;model's&lt;/b&gt;");
    expect(page).toContain("other &amp; more");
    expect(page).toContain("M, auto");
    expect(page).toContain("1.0 s");
  });

  it("names nobody when it is blind, and stands as the key says", () => {
    const worst = pairs.map((each) => ({ pair: each, reasons: ["cut off"] }));
    const page = pageOf(pairs, { names, figures, worst, key: { a: "against" } });
    expect(page).not.toContain("cut off");
    expect(page).not.toContain("M, auto");
    expect(page).not.toContain("1.0 s");
    expect(page.indexOf("other")).toBeLessThan(page.indexOf("model's"));
  });
});

describe("a file of pairs", () => {
  const side = { model: "m", mode: "serial" } as const;
  const settings = {
    ...{ sides: { model: side, against: side }, temperature: 0, maxTokens: 9, seed: 1 },
  };

  it("goes on where a run was interrupted", async () => {
    const path = at("pairs.jsonl");
    const file = new PairFile(path, settings);
    expect((await file.open()).size).toBe(0);
    await file.add(pair("a", answer("1"), answer("2")));
    writeFileSync(path, `${readFileSync(path, "utf8")}{"id":"b","pro`);
    const kept = await new PairFile(path, settings).open();
    expect([...kept.keys()]).toEqual(["a"]);
    await file.add(pair("b", answer("3"), answer("4")));
    expect((await readPairs(path)).map(({ answers }) => answers.against.text)).toEqual(["2", "4"]);
  });

  it("refuses answers that were made with other settings", async () => {
    const path = at("settings.jsonl");
    await new PairFile(path, settings).add(pair("a", answer("1"), answer("2")));
    await expect(new PairFile(path, { ...settings, seed: 2 }).open()).rejects.toThrow(
      "other settings",
    );
  });

  it("names the line that lacks an answer", async () => {
    const path = write("broken.jsonl", [{ prompt: "p", model: { text: "t" } }]);
    await expect(readPairs(path)).rejects.toThrow(`${path}, line 1: "against"`);
  });
});

describe("a suite", () => {
  it("is generated for rag and maths, with known answers", async () => {
    const suite = await readSuite("maths", { data: "", limit: 3, seed: 1 });
    expect(suite).toHaveLength(3);
    expect(suite.every(({ claims }) => claims.length > 0)).toBe(true);
    expect(await readSuite("maths", { data: "", limit: 3, seed: 1 })).toEqual(suite);
  });

  it("asks a prompt once that a file holds for several models", async () => {
    write("vicuna_bench.jsonl", [
      { id: "v1", category: "fermi", model: "x", prompt: "How many?" },
      { id: "v1", category: "fermi", model: "y", prompt: "How many?" },
      { id: "v2", category: "generic", model: "x", prompt: "Why?" },
    ]);
    const suite = await readSuite("vicuna", { data: folder, seed: 1 });
    expect(suite.map(({ id, category }) => [id, category])).toEqual([
      ["v1", "fermi"],
      ["v2", "generic"],
    ]);
  });

  it("takes a limit from all over a file", async () => {
    const rows = Array.from({ length: 10 }, (_, i) => ({ id: `${i}`, prompt: `Prompt ${i}` }));
    const suite = await readSuite(write("ten.jsonl", rows), { data: "", limit: 3, seed: 1 });
    expect(suite.map(({ id }) => id)).toEqual(["0", "4", "7"]);
  });

  it("takes the first turns of MT-bench", async () => {
    write("mt_bench_prompts.jsonl", [{ id: "m1", category: "writing", turns: ["One", "Two"] }]);
    const suite = await readSuite("mt-bench", { data: folder, seed: 1 });
    expect(suite.map(({ prompt }) => prompt)).toEqual(["One"]);
  });
});
