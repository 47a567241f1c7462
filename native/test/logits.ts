// Logits against an oracle's.
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { StructureRun } from "../src/index.ts";

/** The only tensor of a safetensors file, fp32. */
export function readLogits(path: string): Float32Array {
  const file = readFileSync(path);
  const header = Number(file.readBigUInt64LE(0));
  return new Float32Array(new Uint8Array(file.subarray(8 + header)).slice().buffer);
}

/** Normalised mean squared error. */
export function nmse(got: ArrayLike<number>, want: ArrayLike<number>): number {
  expect(got.length).toBe(want.length);
  let error = 0;
  let power = 0;
  for (let i = 0; i < want.length; i++) {
    error += ((got[i] ?? 0) - (want[i] ?? 0)) ** 2;
    power += (want[i] ?? 0) ** 2;
  }
  return error / power;
}

/** Row ranges of the serial, branch and joined parts; each must agree on its own. */
export function parts(runs: readonly StructureRun[]): { name: string; from: number; to: number }[] {
  const out: { name: string; from: number; to: number }[] = [];
  let at = 0;
  runs.forEach((run, index) => {
    const lists = "serial" in run ? [run.serial] : run.parallel;
    lists.forEach((list, branch) => {
      const name = "serial" in run ? `run ${index}` : `run ${index} branch ${branch}`;
      if (list.length > 0) out.push({ name, from: at, to: at + list.length });
      at += list.length;
    });
  });
  return out;
}
