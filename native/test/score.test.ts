// The command npm run score, and structured prefill.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import type { ScoredRun, StructureRun } from "../src/index.ts";
import { byLane, finish, idsOf, prompts, refusal, Serving, small, tiny } from "./answers.ts";

const folder = mkdtempSync(join(tmpdir(), "anabranch-score-"));
afterAll(() => rmSync(folder, { recursive: true }));

const structure: StructureRun[] = [
  { serial: [4, 5, 6, 7] },
  { parallel: [[30, 31, 32], [40], []] },
  { serial: [] },
  { serial: [8, 9] },
];

function score(content: unknown, ...args: string[]) {
  const file = join(folder, "in.json");
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
  return spawnSync(
    process.execPath,
    [
      fileURLToPath(new URL("../src/cli/score.ts", import.meta.url)),
      ...["--model", tiny, "--in", file, ...args],
    ],
    { encoding: "utf8" },
  );
}

const nulls = (run: ScoredRun) =>
  "serial" in run
    ? run.serial.map((value) => value === null)
    : run.parallel.map((list) => list.map((value) => value === null));

describe("npm run score", () => {
  it("prints one JSON value of the same shape, null for the first token of every run", () => {
    const { status, stdout, stderr } = score(structure, "--dtype", "fp32", "--json");
    expect(status, stderr).toBe(0);
    const runs = JSON.parse(stdout) as ScoredRun[];
    expect(runs.map(nulls)).toEqual([
      [true, false, false, false],
      [[true, false, false], [true], []],
      [],
      [true, false],
    ]);
    for (const value of JSON.stringify(runs).match(/-?\d+\.\d+/g) ?? []) {
      expect(Number(value)).toBeLessThan(0);
    }
    expect(stdout.trim().split("\n")).toHaveLength(1);
  });

  it("writes every row's logits as safetensors, which give its log-probabilities", () => {
    const logits = join(folder, "logits.safetensors");
    const { status, stdout, stderr } = score(structure, "--logits", logits, "--json");
    expect(status, stderr).toBe(0);
    const file = readFileSync(logits);
    const header = Number(file.readBigUInt64LE(0));
    const { shape } = JSON.parse(file.subarray(8, 8 + header).toString()).logits;
    expect(shape).toEqual([10, 192]);
    const values = new Float32Array(new Uint8Array(file.subarray(8 + header)).buffer);
    expect(values).toHaveLength(10 * 192);
    const row = values.subarray(0, 192);
    const total = Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0));
    const [first] = JSON.parse(stdout) as [{ serial: number[] }];
    expect(first.serial[1]).toBeCloseTo((row[5] ?? 0) - total, 4);
  });

  it("resumes by the given rule", () => {
    const [sum, max] = ["sum", "max"].map((rule) => score(structure, "--resume", rule, "--json"));
    const [before, after] = [sum, max].map((run) => JSON.parse(run?.stdout ?? "") as ScoredRun[]);
    expect(before?.slice(0, 2)).toEqual(after?.slice(0, 2));
    expect(before?.[3]).not.toEqual(after?.[3]);
  });

  it.each([
    ["a file that is not JSON", "[{", []],
    ["an invalid structure", [{ both: [1] }], []],
    ["an unknown token", [{ serial: [192] }], []],
    ["no list", "7", []],
    ["an unknown option", structure, ["--fast"]],
    ["an unknown dtype", structure, ["--dtype", "int3"]],
    ["an unknown rule", structure, ["--resume", "last"]],
    ["an unknown code path", structure, ["--code-path", "sse"]],
    ["a folder that is no model", structure, ["--model", folder]],
  ])("refuses %s in one line, with nothing on stdout", (_, content, args) => {
    const { status, stdout, stderr } = score(content, ...args);
    expect(status).toBeGreaterThan(0);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^score: .+$/m);
    expect(stderr).not.toContain("    at ");
  });

  it("prints its help", () => {
    const { status, stdout } = score(structure, "--help");
    expect(status).toBe(0);
    expect(stdout).toContain("--resume");
  });
});

describe("structured prefill", () => {
  it("does not depend on the number of rows per step", async () => {
    const long: StructureRun[] = [
      { serial: Array.from({ length: 150 }, (_, i) => (i * 7) % 192) },
      {
        parallel: [60, 1, 90].map((n, b) =>
          Array.from({ length: n }, (_, i) => (i * 5 + b * 3) % 192),
        ),
      },
      { serial: Array.from({ length: 100 }, (_, i) => (i * 11) % 192) },
    ];
    const one = await new Serving({ model: tiny, maxRows: 512 }).engine.score(long, "sum", true);
    const two = await new Serving({ model: tiny, maxRows: 256, threads: 2 }).engine.score(
      long,
      "sum",
      true,
    );
    expect(two.runs).toEqual(one.runs);
    expect(two.logits).toEqual(one.logits);
  });

  it("siblings do not see each other: changing one does not change the other", async () => {
    const serving = new Serving({ model: tiny });
    const scored = async (sibling: number[]) =>
      (
        await serving.engine.score(
          [{ serial: [4, 5, 6] }, { parallel: [[7, 8, 9, 10], sibling] }],
          "sum",
        )
      ).runs;
    const [, a] = await scored([11, 12, 13]);
    const [, b] = await scored([50]);
    if (!a || !b || !("parallel" in a) || !("parallel" in b)) throw new Error("the shape changed");
    expect(a.parallel[0]).toEqual(b.parallel[0]);
  });

  it("a parallel run without branches is allowed and changes nothing", async () => {
    const serving = new Serving({ model: tiny });
    const [before, after] = [{ serial: [4, 5, 6] }, { serial: [7, 8] }];
    for (const resume of ["sum", "max"] as const) {
      const plain = await serving.engine.score([before, after], resume, true);
      const empty = await serving.engine.score([before, { parallel: [] }, after], resume, true);
      expect(empty.runs).toEqual([plain.runs[0], { parallel: [] }, plain.runs[1]]);
      expect(empty.logits).toEqual(plain.logits);
    }
  });

  it("a script may hold one too", async () => {
    const script = [{ serial: [4, 5] }, { parallel: [] }, { serial: [6, 7] }];
    const answer = await new Serving({ model: tiny }).ask({ prompt: [4], script }).answer;
    expect(answer.reason).toBe(finish.stop);
    expect(idsOf(byLane(answer.events)[0])).toEqual([5, 6, 7]);
  });

  it("takes the steps of a dialect, given openings and titles", async () => {
    const serving = new Serving();
    const { title_open, title_close } = JSON.parse(readFileSync(join(small, "aspd.json"), "utf8"));
    const scriptTitles = { open: title_open.ids, close: title_close.ids };
    let stages = 0;
    for (const ids of prompts) {
      const answer = await serving.answer({ prompt: ids, parallel: true, maxTokens: 400 });
      const [trunk = [], ...branches] = answer.lanes;
      if (answer.usage.stages !== 1 || answer.reason !== finish.stop) continue;
      stages++;
      const join = trunk.findIndex((token) => token.forced);
      const script = [
        { serial: [...ids, ...idsOf(trunk.slice(0, join))] },
        {
          parallel: branches.map(idsOf),
          openings: branches.map((lane) => lane.findIndex((token) => !token.forced)),
        },
        { serial: idsOf(trunk.slice(join)) },
      ];
      const replayed = await serving.answer({ prompt: ids, script, scriptTitles });
      expect(replayed.lanes.map(idsOf)).toEqual(answer.lanes.map(idsOf));
      // A script forwards its last token, too.
      expect(replayed.usage.steps).toBe(answer.usage.steps + 1);
    }
    expect(stages).toBeGreaterThan(2);
    serving.expectAllFree();
  });

  // A title opens with 7 and closes with 9 6: both are drafted after each of its tokens. Or it opens with
  // 7 8: then they are drafted once half of the close is written.
  const titles: { name: string; open: number[]; serial: number[]; saved: number }[] = [
    { name: "two titles", open: [7], serial: [4, 7, 5, 9, 6, 7, 5, 9, 6, 4], saved: 3 + 2 },
    { name: "a long title", open: [7], serial: [4, 7, 5, 4, 5, 4, 9, 6, 4], saved: 2 },
    { name: "half an end", open: [7], serial: [4, 7, 5, 9, 5, 9, 6, 7, 4], saved: 1 + 3 },
    { name: "an end that would leave nothing", open: [7], serial: [4, 7, 9, 6, 5, 4], saved: 0 },
    { name: "a begin elsewhere", open: [7], serial: [4, 7, 5, 9, 6, 4, 7, 9, 6], saved: 2 },
    { name: "no title", open: [7], serial: [4, 5, 9, 6, 5, 8], saved: 0 },
    { name: "longer markers", open: [7, 8], serial: [4, 7, 8, 5, 9, 6, 7, 8, 5, 9], saved: 3 },
    { name: "half a begin", open: [7, 8], serial: [4, 7, 8, 5, 9, 6, 7, 5, 4], saved: 2 },
  ];
  for (const { name, open, serial, saved } of titles) {
    it(`drafts a title's close and the next one's opening: ${name}`, async () => {
      const serving = new Serving({ model: tiny });
      const given = { prompt: [4], script: [{ serial }] };
      const [plain, drafting] = await Promise.all([
        serving.answer(given),
        serving.answer({ ...given, scriptTitles: { open, close: [9, 6] } }),
      ]);
      expect(idsOf(drafting.lanes[0])).toEqual(serial.slice(1));
      expect(plain.usage.steps - drafting.usage.steps).toBe(saved);
      serving.expectAllFree();
    });
  }

  it("scriptTitles with only open or close are refused", () => {
    const ask = (scriptTitles: { open: number[]; close: number[] }) => () =>
      new Serving({ model: tiny }).ask({ prompt: [4], script: [{ serial: [4, 5] }], scriptTitles });
    expect(refusal(ask({ open: [5], close: [] }))).toBe("invalid_argument");
    expect(refusal(ask({ open: [], close: [5] }))).toBe("invalid_argument");
    expect(refusal(ask({ open: [5], close: [1 << 20] }))).toBe("invalid_argument");
  });

  it("invalid openings are refused", () => {
    const serving = new Serving({ model: tiny });
    const ask = (openings: number[]) => {
      const script = [{ serial: [4, 5] }, { parallel: [[6, 7], [8]], openings }, { serial: [9] }];
      return refusal(() => serving.ask({ prompt: [4], script }));
    };
    expect(ask([1, 1])).toBe("nothing");
    for (const wrong of [[1], [1, 2], [0, 1], [1, 1, 1]])
      expect(ask(wrong)).toBe("invalid_argument");
  });
});
