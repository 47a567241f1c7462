import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cueNames, featuresOf } from "@anabranch/shared/classifier/features.ts";
import { judge } from "@anabranch/shared/classifier/judge.ts";
import { linear, readModel } from "@anabranch/shared/classifier/model.ts";
import { describe, expect, it } from "vitest";
import { fitCommand } from "../cli/classifier-fit.ts";
import { judgeCommand } from "../cli/classifier-judge.ts";
import { labelCommand } from "../cli/classifier-label.ts";
import { thresholdCommand } from "../cli/classifier-threshold.ts";
import { constructedPrompts } from "./constructed.ts";
import { demoRows, examplesOf } from "./examples.ts";
import { fitModel, packModel } from "./fit-model.ts";
import { fit } from "./logistic.ts";
import { minimise } from "./minimise.ts";
import { readLabels } from "./prompt-label.ts";
import { auc, averagePrecision, rankCorrelation, scores } from "./scores.ts";

describe("scores", () => {
  const predictions = (...pairs: [number, boolean][]) =>
    pairs.map(([probability, parallel]) => ({ probability, parallel }));

  it("compute the area under the curve, where ties count half", () => {
    expect(auc(predictions([0.1, false], [0.4, true], [0.3, false], [0.8, true]))).toBe(1);
    expect(auc(predictions([0.1, true], [0.4, false]))).toBe(0);
    expect(auc(predictions([0.5, true], [0.5, false]))).toBe(0.5);
    expect(auc(predictions([0.2, false], [0.4, true], [0.6, false], [0.8, true]))).toBe(0.75);
    expect(auc(predictions([0.2, true]))).toBeNull();
  });

  it("compute average precision, where ties are one threshold", () => {
    expect(averagePrecision(predictions([0.9, true], [0.1, false]))).toBe(1);
    expect(averagePrecision(predictions([0.9, false], [0.1, true]))).toBe(0.5);
    expect(averagePrecision(predictions([0.5, false], [0.5, true]))).toBe(0.5);
    expect(averagePrecision(predictions([0.5, false]))).toBeNull();
  });

  it("compute how far probabilities are from frequencies", () => {
    expect(scores(predictions([1, true], [0, false])).ece).toBe(0);
    expect(scores(predictions([0.9, false], [0.9, true])).ece).toBeCloseTo(0.4);
  });

  it("compute rank correlations", () => {
    expect(rankCorrelation([1, 2, 30], [4, 5, 6])).toBeCloseTo(1);
    expect(rankCorrelation([1, 2, 3], [6, 5, 4])).toBeCloseTo(-1);
    expect(rankCorrelation([1, 1, 1], [6, 5, 4])).toBeNull();
  });
});

const row = (source: string, prompt: string, target: number, speedup: number | null = null) => {
  return { source, prompt, turn: 1, target, speedup };
};
const options = {
  ...{ cuePenalty: 1e-3, shapePenalty: 1e-3, vectorPenalty: 1e-3, groupPenalty: 1e-6 },
  ...{ steps: 200, slope: 1e-6 },
};

describe("minimise", () => {
  it("finds the bottom of a curved valley, and of a bowl in many dimensions", () => {
    const valley = minimise(
      ([x = 0, y = 0], slope) => {
        slope[0] = -2 * (1 - x) - 400 * x * (y - x * x);
        slope[1] = 200 * (y - x * x);
        return (1 - x) ** 2 + 100 * (y - x * x) ** 2;
      },
      Float64Array.of(-1.2, 1),
      { steps: 200, slope: 1e-8 },
    );
    for (const value of valley) expect(value).toBeCloseTo(1, 6);
    const bowl = minimise(
      (at, slope) => {
        let sum = 0;
        for (const [i, value] of at.entries()) {
          slope[i] = (i + 1) * (value - i);
          sum += ((i + 1) * (value - i) ** 2) / 2;
        }
        return sum;
      },
      new Float64Array(60),
      { steps: 200, slope: 1e-9 },
    );
    for (const [i, value] of bowl.entries()) expect(value).toBeCloseTo(i, 6);
  });

  it("stays where it is flat", () => {
    const start = Float64Array.of(3, 4);
    expect(minimise(() => 1, start, { steps: 5, slope: 1e-9 })).toEqual(start);
  });
});

describe("the fit", () => {
  it("learns what tells prompts apart, and nothing if there is nothing", () => {
    const model = fit(
      examplesOf([
        row("a", "What are some tips for sailing?", 1),
        row("a", "What are the benefits of tea?", 1),
        row("a", "Write a poem about tea.", 0),
        row("a", "Write a song about sailing.", 0),
      ]),
      options,
    );
    expect(linear(model, featuresOf("What are some ideas for a picnic?"))).toBeGreaterThan(0);
    expect(linear(model, featuresOf("Write a haiku about a picnic."))).toBeLessThan(0);
    const same = fit(examplesOf([row("a", "red", 1), row("a", "red", 0)]), options);
    expect(linear(same, featuresOf("red"))).toBeCloseTo(0);
  });

  it("has an opinion of words that no prompt had, by their likeness to those that were there", () => {
    const rows = (words: string, target: number) =>
      words.split(" ").map((word) => row("a", `Describe the ${word}`, target));
    const model = fit(
      examplesOf([...rows("red blue yellow", 1), ...rows("nurse lawyer farmer", 0)]),
      options,
    );
    const odds = (word: string) => linear(model, featuresOf(`Describe the ${word}`));
    expect(odds("purple")).toBeGreaterThan(0);
    expect(odds("priest")).toBeLessThan(0);
  });

  it("learns less of which source is parallel more often than of prompts", () => {
    const rowsOf = (often: string, seldom: string) => [
      ...[1, 1, 1, 0].map((target, i) => row(often, `Name a tree ${i}`, target)),
      ...[0, 0, 0, 1].map((target, i) => row(seldom, `Spell a word ${i}?`, target)),
    ];
    const difference = (often: string, seldom: string) => {
      const model = fit(examplesOf(rowsOf(often, seldom)), options);
      const odds = (prompt: string) => linear(model, featuresOf(prompt));
      return odds("Name a tree 0") - odds("Spell a word 0?");
    };
    expect(difference("often", "seldom")).toBeLessThan(0.9 * difference("one", "one"));
  });

  it("is the same every time, and keeps its odds when it is packed", () => {
    const rows = constructedPrompts(150, 3).map(({ prompt, label }, i) =>
      row(i % 2 ? "a" : "b", prompt, label, label ? 2 : 1),
    );
    const examples = examplesOf(rows);
    const model = fitModel(examples, { wrongPlan: 0.1 });
    const file = packModel(model);
    expect(packModel(fitModel(examplesOf(rows), { wrongPlan: 0.1 }))).toEqual(file);
    expect(file.threshold).toBeCloseTo(0.1 / (0.1 + 0.5), 3);
    const read = readModel(file);
    for (const { features } of examples.slice(0, 20)) {
      expect(linear(read.parallel, features)).toBeCloseTo(linear(model.parallel, features), 1);
    }
    expect(() => readModel({ ...file, cues: {} })).toThrow("no weight for");
  });

  it("separates the demo's held-out tasks", () => {
    const model = fit(examplesOf(demoRows(400, "train")), options);
    const predictions = examplesOf(demoRows(200, "heldout")).map(({ parallel, features }) => {
      return { parallel: parallel === true, probability: linear(model, features) };
    });
    expect(auc(predictions)).toBeGreaterThan(0.95);
  });
});

describe("features", () => {
  it("lie between 0 and 1, one for each name", () => {
    for (const prompt of ["", "?", "What are tips?\n\n1. a\n2. b", "```x```\u0301".repeat(3_000)]) {
      const { cues } = featuresOf(prompt, 2);
      expect(cues).toHaveLength(cueNames.length);
      expect(cues.every((value) => value >= 0 && value <= 1)).toBe(true);
    }
  });

  it("know the common ones of the first words, as often as they are there", () => {
    const { words, wordValue } = featuresOf("The tree, the zorbing: 2 trees!");
    expect(words).toHaveLength(4);
    expect(words[0]).toBe(words[2]);
    expect(wordValue).toBe(0.5);
    expect(featuresOf(`${"tree ".repeat(40)}river`).words).toHaveLength(40);
    expect(featuresOf("2 + 2").words).toEqual([]);
  });

  it("forget what a prompt is about but for its words", () => {
    const [a, b] = ["What are some tips for zorbing?", "What are some tips for glorking?"];
    expect(featuresOf(a ?? "").shapes).toEqual(featuresOf(b ?? "").shapes);
  });
});

describe("constructed prompts", () => {
  it("are of both kinds, and follow from their seed", () => {
    const prompts = constructedPrompts(200, 1);
    expect(constructedPrompts(200, 1)).toEqual(prompts);
    expect(new Set(prompts.map(({ prompt }) => prompt)).size).toBe(prompts.length);
    const points = prompts.filter(({ label }) => label === 1).length;
    expect(points).toBeGreaterThan(60);
    expect(points).toBeLessThan(140);
  });
});

describe("npm run classifier", () => {
  const body = (word: string) =>
    `${`${word} matters a great deal to whoever lives there. `.repeat(6)}\n`;
  const list = ["Food", "Light", "Water", "Soil"]
    .map((name, i) => `${i + 1}. **${name}**: ${body(name)}`)
    .join("\n");

  it("labels answers, fits on the labels, and judges prompts", async () => {
    const folder = await mkdtemp(join(tmpdir(), "classifier-"));
    const at = (name: string) => join(folder, name);
    const answers = [
      { prompt: "What do houseplants need?", response: list, category: "points" },
      { prompt: "What do houseplants need?", response: "Water.", category: "points" },
      { prompt: "Define soil.", response: "It is earth.", category: "one" },
      { prompt: "What is light?", response: "A wave.", category: "none" },
    ];
    await writeFile(at("own.jsonl"), answers.map((each) => JSON.stringify(each)).join("\n"));
    await labelCommand([
      ...["--answers", at("own.jsonl"), "--out", at("labels.jsonl"), "--judgements", "none"],
    ]);
    const labels = await readLabels([at("labels.jsonl")]);
    expect(labels).toMatchObject([
      { source: "topics", judged: 1, answers: 2, parallel: 0.5, agreement: 0.5 },
      { source: "topics", judged: 0, answers: 1, speedup: 1, parallel: 0 },
      { source: "own", judged: null, answers: 1, speedup: 1, parallel: 0 },
    ]);
    expect(labels[0]?.speedup).toBeGreaterThan(1.2);

    const fitted = await fitCommand([
      ...["--labels", at("labels.jsonl"), "--out", at("weights.json")],
    ]);
    const model = readModel(JSON.parse(await readFile(at("weights.json"), "utf8")));
    expect(fitted.json).toMatchObject({ version: model.version });

    const prompts = ["What are some tips for sailing?", "What is 2 + 2?"];
    await writeFile(at("in.jsonl"), prompts.map((prompt) => JSON.stringify({ prompt })).join("\n"));
    const { json } = await judgeCommand([
      ...["--in", at("in.jsonl"), "--out", at("out.jsonl"), "--weights", at("weights.json")],
    ]);
    expect(json).toMatchObject({ prompts: 2 });
    const rows = (await readFile(at("out.jsonl"), "utf8")).trim().split("\n");
    expect(rows.map((line) => JSON.parse(line))).toEqual(
      prompts.map((prompt) => {
        const { probability, speedup, mode, abstains } = judge(model, prompt);
        return { probability, speedup, mode, abstains };
      }),
    );
  });

  it("computes a model's threshold from its answers with and without branches", async () => {
    const folder = await mkdtemp(join(tmpdir(), "classifier-"));
    const pairs = join(folder, "pairs.jsonl");
    const answer = (steps: number, stages: number, visibleTokens = 100) => {
      return { text: "", steps, stages, visibleTokens, ms: 10 * steps + 1_000 };
    };
    const rows = [
      { prompt: "Give me tips for sailing.", model: answer(50, 1), against: answer(100, 0) },
      { prompt: "List uses of salt.", model: answer(35, 2, 50), against: answer(100, 0) },
      { prompt: "What is 2 + 2?", model: answer(110, 0), against: answer(100, 0) },
      { prompt: "Define soil.", model: answer(100, 0), against: answer(100, 0) },
      { prompt: "Say nothing.", model: answer(1, 0, 0), against: answer(1, 0, 0) },
    ];
    const threshold = async () => {
      await writeFile(pairs, rows.map((row) => JSON.stringify(row)).join("\n"));
      return (await thresholdCommand(["--pairs", pairs, "--by", "steps"])).json;
    };
    const found = await threshold();
    expect(found).toMatchObject({ prompts: 4, branched: 2 });
    const [gain, cost] = [1 - Math.sqrt(0.5 * 0.7), Math.sqrt(1.1) - 1];
    expect(found.gain).toBeCloseTo(gain);
    expect(found.cost).toBeCloseTo(cost);
    expect(found.threshold).toBeCloseTo(cost / (cost + gain));
    expect(found.saved.parallel).toBeCloseTo(1 - (0.5 * 0.7 * 1.1) ** 0.25);
    // 1,000 ms of each answer are saved by nobody.
    const byTime = (await thresholdCommand(["--pairs", pairs])).json;
    expect(byTime.gain).toBeCloseTo(1 - Math.sqrt((1_500 / 2_000) * (1_350 / 1_000)));
    // A plan that comes to nothing costs nothing: always parallel.
    rows[2] = { prompt: "What is 2 + 2?", model: answer(100, 0), against: answer(100, 0) };
    expect(await threshold()).toMatchObject({ cost: 0, threshold: 0 });
    // Branches that save nothing: never.
    rows.splice(0, 2);
    expect(await threshold()).toMatchObject({ branched: 0, threshold: 1 });
    await writeFile(pairs, JSON.stringify({ prompt: "a", model: { text: "b" } }));
    await expect(thresholdCommand(["--pairs", pairs])).rejects.toThrow(/pairs.jsonl, line 1/);
  });

  it("names a row that says nothing of its prompt", async () => {
    const folder = await mkdtemp(join(tmpdir(), "classifier-"));
    const file = join(folder, "labels.jsonl");
    const rows = [
      { source: "a", prompt: "b", judged: 1 },
      { source: "a", prompt: "c" },
    ];
    await writeFile(file, rows.map((each) => JSON.stringify(each)).join("\n"));
    await expect(readLabels([file])).rejects.toThrow(/labels.jsonl, line 2: .*"judged"/);
  });

  it("labels nothing that is for measuring alone", async () => {
    const folder = await mkdtemp(join(tmpdir(), "classifier-"));
    const file = join(folder, "vicuna_bench.jsonl");
    await writeFile(file, JSON.stringify({ prompt: "a", response: "b" }));
    const out = join(folder, "labels.jsonl");
    await expect(
      labelCommand(["--answers", file, "--out", out, "--judgements", "none"]),
    ).rejects.toThrow("for measuring alone");
  });
});
