// Runs engine-check, which tests the kernels against plain loops in double precision.
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { codePaths, readBandwidth } from "../src/index.ts";
import { refusal, tiny } from "./answers.ts";

const program = fileURLToPath(new URL("../build/engine-check", import.meta.url));

describe("engine-check", () => {
  it("passes on every code path of this CPU, and serves several threads", () => {
    const { status, stdout, stderr } = spawnSync(program, [tiny], { encoding: "utf8" });
    expect(stdout + stderr).not.toContain("FAIL");
    // "pairs" is the logic of avx512bf16, written out for CPUs without the instruction.
    const paths = codePaths().includes("avx2") ? [...codePaths(), "pairs"] : codePaths();
    for (const path of paths) {
      for (const check of ["rms_norm", "silu", "fp32 gemm", "int8 gemm", "bf16 attend"]) {
        expect(stdout).toContain(`ok   ${path} ${check}`);
      }
    }
    expect(stdout).toContain("ok   attention plan");
    // The CUDA backend: on a GPU if there is one, else emulated.
    for (const dtype of ["bf16", "int8", "int4", "fp8"]) {
      const groups = dtype === "int4" ? " in groups of (32|64|128), .*" : "";
      expect(stdout).toMatch(new RegExp(`ok {3}(cuda|emulated) ${dtype}${groups} gemm\n`));
      expect(stdout).toMatch(
        new RegExp(`ok {3}(cuda|emulated) llama-default ${dtype} sum, 7 rows: NMSE`),
      );
    }
    expect(stdout).toMatch(/ok {3}.* fp8 KV max, 128 rows, against bf16 KV: NMSE/);
    expect(stdout).toMatch(/ok {3}.* int8 max, 128 rows, against the CPU's: NMSE/);
    expect(stdout).toMatch(/ok {3}.* int4 max, 128 rows, against the CPU's: NMSE/);
    for (const which of ["no adapter, beside others", "every product", "attention"]) {
      expect(stdout).toMatch(
        new RegExp(`ok {3}(cuda|emulated) llama-default ${which}, deterministic\n`),
      );
    }
    expect(stdout).toContain("ok   serving from 3 threads");
    expect(stdout.trim().endsWith("all checks passed")).toBe(true);
    expect(status).toBe(0);
  }, 600_000);
});

describe("a copy of the kernels", () => {
  it("exports nothing but its table", () => {
    // A shared function compiled for one instruction set could be linked in for another's.
    const objects = globSync("native/build/CMakeFiles/kernels_*/**/kernels.cpp.o", {
      cwd: fileURLToPath(new URL("../../", import.meta.url)),
    });
    expect(objects.length).toBeGreaterThanOrEqual(codePaths().length);
    for (const object of objects) {
      const { stdout, status } = spawnSync("nm", ["--defined-only", "--extern-only", object], {
        encoding: "utf8",
        cwd: fileURLToPath(new URL("../../", import.meta.url)),
      });
      expect(status).toBe(0);
      const names = stdout.trim().split("\n");
      expect(names, object).toHaveLength(1);
      expect(names[0]).toMatch(/kernels_/);
    }
  });
});

describe("read bandwidth", () => {
  it("is a positive rate, and refuses invalid arguments", () => {
    expect(readBandwidth(1, 16, 1)).toBeGreaterThan(1e6);
    const invalid = [
      [0, 1, 1],
      [1, 0, 1],
      [1, 1, 0.5],
      [Number.NaN, 1, 1],
    ] as const;
    for (const [threads, mib, passes] of invalid) {
      expect(refusal(() => readBandwidth(threads, mib, passes))).toBe("invalid_argument");
    }
  });
});
