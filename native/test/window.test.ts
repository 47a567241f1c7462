// A sliding window is one of positions: what lies beyond it has no influence, to the bit, whatever
// chunks, forks and joins lie between.
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { codePaths, type EngineOptions, openEngine, type StructureRun } from "../src/index.ts";

// Two layers with a window of 19 tokens each: a row depends on the 36 positions before its own.
const model = fileURLToPath(new URL("oracle/fixtures/mistral-window", import.meta.url));
const reach = 2 * (19 - 1);
const vocabulary = 192;

const open: { close(): void }[] = [];
afterAll(() => {
  for (const engine of open) engine.close();
});

/** Raw logits, one list per token. */
async function logitsOf(
  groups: StructureRun[],
  options: Partial<EngineOptions> = {},
): Promise<number[][]> {
  const engine = openEngine(
    { model, dtype: "fp32", kvMib: 16, threads: 2, validate: true, ...options },
    () => {},
  );
  open.push(engine);
  const { logits = new Float32Array() } = await engine.score(groups, "sum", { logits: true });
  engine.close();
  return Array.from({ length: logits.length / vocabulary }, (_, i) => [
    ...logits.subarray(i * vocabulary, (i + 1) * vocabulary),
  ]);
}

const run = (length: number, seed: number) =>
  Array.from({ length }, (_, i) => 3 + ((i * 37 + seed * 101 + i * i) % 180));

describe.each(codePaths())("%s", (codePath) => {
  it("a token influences the rows within its reach, and no other", async () => {
    const tokens = run(400, 1);
    const changed = [(tokens[0] ?? 0) ^ 1, ...tokens.slice(1)];
    const [was, is] = [
      await logitsOf([{ serial: tokens }], { codePath }),
      await logitsOf([{ serial: changed }], { codePath }),
    ];
    expect(is[reach]).not.toEqual(was[reach]);
    expect(is.slice(reach + 1)).toEqual(was.slice(reach + 1));
  });

  it("the positions of siblings count once each after the join", async () => {
    const text = (first: number): StructureRun[] => [
      { serial: [first, ...run(9, 2)] },
      { parallel: [run(15, 3), run(15, 4)] },
      { serial: run(12, 5) },
    ];
    const [was, is] = [
      await logitsOf(text(7), { codePath }),
      await logitsOf(text(8), { codePath }),
    ];
    // Rows 10 to 24 and 25 to 39 are the branches, both from position 10 on. Row 40 has position 40.
    expect(is[39]).not.toEqual(was[39]);
    expect(is.slice(40)).toEqual(was.slice(40));
  });

  it.each(["fp32", "bf16", "int8"] as const)(
    "%s: chunks of any size give the same bits",
    async (dtype) => {
      const groups: StructureRun[] = [
        { serial: run(300, 6) },
        { parallel: [run(20, 7), run(3, 8)] },
        { serial: run(30, 9) },
      ];
      const whole = await logitsOf(groups, { codePath, dtype, maxRows: 512, prefillRows: 512 });
      const parts = await logitsOf(groups, { codePath, dtype, maxRows: 256, prefillRows: 7 });
      expect(parts).toEqual(whole);
    },
  );
});
