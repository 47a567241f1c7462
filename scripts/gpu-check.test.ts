// What a GPU machine runs, without a GPU: the folder for it, and the whole script on the CPU.
import { execFile, execFileSync, type SpawnSyncReturns, spawnSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "..");
const programs = join(root, "native/build");
const state = mkdtempSync(join(tmpdir(), "anabranch-gpu-"));
const bundle = join(state, "bundle");

interface Result {
  device: string;
  dry_run: boolean;
  commit: string;
  running: string | null;
  passed: boolean | null;
  facts: Record<string, string>;
  stages: { name: string; status: string; seconds: number; why?: string }[];
  goals: { goal: string; reading: number; met: boolean | null }[];
  figures: { stage: string; name: string; backend: string; decode?: { lanes: number }[] }[];
  checks: string[];
}

/** The one result file of a folder. */
function resultIn(folder: string): { name: string; result: Result } {
  const [name = "", ...others] = readdirSync(folder).filter((file) => file.endsWith(".json"));
  expect(others).toEqual([]);
  return { name, result: JSON.parse(readFileSync(join(folder, name), "utf8")) };
}

/** The script as the bundle has it. */
const check = (out: string, ...args: string[]): [string, string[]] => [
  join(bundle, "scripts/gpu-check"),
  ["--out", join(state, out), ...args],
];

let made: SpawnSyncReturns<string>;
beforeAll(() => {
  made = spawnSync(join(root, "scripts/gpu-bundle"), [bundle], { encoding: "utf8" });
});
afterAll(() => rmSync(state, { recursive: true, force: true }));

describe("gpu-bundle", () => {
  it("makes a folder of less than 64 MiB, with the commit's name", () => {
    expect(made.status, made.stderr).toBe(0);
    const [, size] = /: (\d+) MiB/.exec(made.stdout) ?? [];
    expect(Number(size)).toBeGreaterThan(1);
    expect(Number(size)).toBeLessThan(64);
    expect(readFileSync(join(bundle, "COMMIT"), "utf8")).toMatch(/^[0-9a-f]{7,}(-dirty)?\n$/);
  });

  it("has all that CMake needs", () => {
    const build = join(state, "configured");
    const options = ["-S", join(bundle, "native"), "-B", build, "-DANABRANCH_CUDA=OFF"];
    execFileSync("cmake", options, { stdio: "pipe" });
    const targets = execFileSync("cmake", ["--build", build, "--target", "help"]).toString();
    for (const target of ["engine-check", "engine-bench"]) {
      expect(targets).toContain(target);
    }
  });

  it("refuses a folder that has something", () => {
    const again = spawnSync(join(root, "scripts/gpu-bundle"), [bundle], { encoding: "utf8" });
    expect(again.status).toBe(2);
    expect(again.stderr).toContain("is not empty");
  });
});

describe("gpu-check", () => {
  it("runs every stage on the CPU, and says that it was the CPU", async () => {
    const options = ["--dry", "--minutes", "8", "--build", programs];
    const { stdout } = await promisify(execFile)(...check("dry", ...options));
    const { name, result } = resultIn(join(state, "dry"));
    expect(name).toMatch(/^cpu-dry-run-/);
    expect(result).toMatchObject({ dry_run: true, running: null, passed: true });
    expect(result.device).toMatch(/^cpu: /);
    expect(result.commit).toBe(readFileSync(join(bundle, "COMMIT"), "utf8").trim());

    const help = execFileSync(...check("dry", "--help")).toString();
    const list = /Stages, in their order[\s\S]*?\n\n([\s\S]*?)\n\n/.exec(help)?.[1] ?? "";
    const names = list.split("\n").map((line) => line.split(" ")[0]);
    expect(names.length).toBeGreaterThan(10);
    expect(result.stages.map((stage) => stage.name)).toEqual(names);
    const leftOut = result.stages.filter(({ status }) => status !== "ok");
    for (const stage of leftOut) expect(stage).toMatchObject({ why: "needs a GPU" });
    const ran = result.stages.filter(({ status }) => status === "ok").map((stage) => stage.name);
    expect(ran).toEqual(expect.arrayContaining(["facts", "build", "checks", "0.5b", "7b"]));

    expect(result.checks.length).toBeGreaterThan(3);
    for (const line of result.checks) expect(line).toMatch(/^ok {3}emulated /);
    for (const figure of result.figures) expect(figure.backend).toMatch(/^cpu /);
    const lanes = result.figures.find(({ stage }) => stage === "7b")?.decode;
    expect(lanes?.map((entry) => entry.lanes)).toEqual([1, 8, 32, 1, 8, 32]);
    expect(result.goals.length).toBeGreaterThan(10);
    for (const { reading, met } of result.goals) {
      expect(reading).toBeGreaterThan(0);
      expect(met).toBeNull();
    }
    expect(stdout).toContain("wrote ");
  }, 500_000);

  it("ends with 1 where a check fails, and with the file", () => {
    const broken = join(state, "broken");
    mkdirSync(broken);
    symlinkSync(join(programs, "engine-bench"), join(broken, "engine-bench"));
    // What a broken kernel looks like.
    const says = [
      'echo "ok   emulated m bf16 sum, 7 rows: NMSE 7.3e-05"',
      'echo "FAIL emulated m"',
    ];
    const file = join(broken, "engine-check");
    writeFileSync(file, ["#!/bin/sh", ...says, "exit 1", ""].join("\n"));
    chmodSync(file, 0o755);
    const options = ["--dry", "--only", "checks", "--build", broken];
    const run = spawnSync(...check("broken-out", ...options), { encoding: "utf8" });
    expect(run.status, run.stderr).toBe(1);
    expect(run.stdout).toContain("FAIL emulated m");
    const { result } = resultIn(join(state, "broken-out"));
    expect(result.passed).toBe(false);
    expect(result.stages.find(({ name }) => name === "checks")?.status).toBe("FAIL");
    expect(result.checks).toContain("FAIL emulated m");
    expect(result.goals).toEqual([expect.objectContaining({ reading: 7.3e-5, met: null })]);
  });

  it("leaves out what does not fit in the time", () => {
    const options = ["--dry", "--minutes", "1", "--only", "racecheck", "--build", programs];
    const run = spawnSync(...check("short", ...options), { encoding: "utf8" });
    expect(run.status, run.stderr).toBe(2);
    expect(run.stderr).toContain("no stage could be run");
    const { result } = resultIn(join(state, "short"));
    const stage = result.stages.find(({ name }) => name === "racecheck");
    expect(stage).toMatchObject({
      status: "left out",
      why: "its 90 s do not fit in the time left",
    });
  });

  it.skipIf(spawnSync("nvidia-smi").status === 0)("does not run without a GPU", () => {
    const run = spawnSync(...check("none", "--build", programs), { encoding: "utf8" });
    expect(run.status).toBe(2);
    expect(run.stderr).toContain("no GPU answers");
  });

  it("reads a layer from what ncu printed on an H200", () => {
    const kernel = (name: string, grid: string, percent: string, time: string) => `
  void unnamed>::${name} (${grid})x(256, 1, 1), Context 1, Stream 13, Device 0, CC 9.0
    Warning: Data collection happened without fixed GPU frequencies.
    Section: Command line profiler metrics
    -------------------------------------------------- ----------- ------------
    Metric Name                                        Metric Unit Metric Value
    -------------------------------------------------- ----------- ------------
    dram__bytes_read.sum                                     Mbyte       271.85
    dram__throughput.avg.pct_of_peak_sustained_elapsed           %        ${percent}
    gpu__time_duration.sum                                      ${time}
    -------------------------------------------------- ----------- ------------
`;
    const gemm = "skinny_gemm_kernel<Bf16Weights, unnamed>::SkinnyShape<1, 1>>(Gemm, int)";
    const attention = "chunk_attention_kernel<4, Bf16Kv>(Attention)";
    const input = [
      kernel(gemm, "288, 1, 1", "44.46", "us        15.49"),
      kernel(attention, "64, 4, 1", "0.40", "us        12.99"),
      kernel(gemm, "2368, 1, 1", "83.18", "ns    67,970.00"),
      kernel(attention, "64, 4, 1", "0.43", "us        11.71"),
    ].join("");
    const script = ["-v", "lanes=8", "-f", join(root, "scripts/gpu/ncu-layer.awk")];
    const lines = execFileSync("awk", script, { input, encoding: "utf8" }).trim().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        ...{ lanes: 8, kernel: "chunk_attention_kernel<4, Bf16Kv>", grid: "64x4x1" },
        ...{ block: "256x1x1", us: 12.99, of_bandwidth: 0.004, read_mb: 271.85 },
      },
      {
        ...{ lanes: 8, kernel: "skinny_gemm_kernel<Bf16Weights, SkinnyShape<1, 1>>" },
        ...{ grid: "2368x1x1", block: "256x1x1", us: 67.97, of_bandwidth: 0.832, read_mb: 271.85 },
      },
    ]);
  });
});
