// The inner loops against plain ones in double, in a program without Node (engine/check).
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { codePaths, readBandwidth } from "../src/index.ts";
import { refusal, tiny } from "./answers.ts";

const program = fileURLToPath(new URL("../build/engine-check", import.meta.url));

describe("engine-check", () => {
  it("passes on every code path that this CPU runs, and serves several threads", () => {
    const { status, stdout, stderr } = spawnSync(program, [tiny], { encoding: "utf8" });
    expect(stdout + stderr).not.toContain("FAIL");
    for (const path of codePaths()) {
      for (const check of ["rms_norm", "silu_multiply", "fp32 gemm", "bf16 attend"]) {
        expect(stdout).toContain(`ok   ${path} ${check}`);
      }
    }
    expect(stdout).toContain("ok   serving from 3 threads");
    expect(stdout.trim().endsWith("all checks passed")).toBe(true);
    expect(status).toBe(0);
  });
});

describe("read bandwidth", () => {
  it("is a rate above nothing, and refuses odd arguments", () => {
    expect(readBandwidth(1, 16, 1)).toBeGreaterThan(1e6);
    const odd = [
      [0, 1, 1],
      [1, 0, 1],
      [1, 1, 0.5],
      [Number.NaN, 1, 1],
    ] as const;
    for (const [threads, mib, passes] of odd) {
      expect(refusal(() => readBandwidth(threads, mib, passes))).toBe("invalid_argument");
    }
  });
});
