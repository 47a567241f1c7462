import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ScoredRun, StructureRun } from "@anabranch/native";
import { afterAll, describe, expect, it } from "vitest";

/** A random model of 192 tokens. */
const tiny = fileURLToPath(
  new URL("../../../native/test/oracle/fixtures/llama-default", import.meta.url),
);

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
      fileURLToPath(new URL("score.ts", import.meta.url)),
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
