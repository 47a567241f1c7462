import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import type { ReplayFigures } from "./replay.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "anabranch-replay-"));
afterAll(() => rmSync(folder, { recursive: true }));

function run(...args: string[]) {
  return spawnSync(process.execPath, [main, "replay", ...args], { encoding: "utf8", cwd: root });
}

const list = ["Tea", "Coffee", "Juice", "Water"]
  .map(
    (name) =>
      `- **${name}**: ${name} is a drink that many people like on a cold or a warm day, at home with others or on a journey by themselves, in large cups and small ones.\n`,
  )
  .join("");
const answers = [
  {
    id: "a",
    category: "drinks",
    prompt: "Which drinks do people like?",
    response: `Here are four drinks that people like, each for reasons of its own.\n\n${list}\nAll of them are liked.`,
  },
  { id: "b", category: "talk", prompt: "Hello!", response: "Hello! How can I help you today?" },
];

describe("bench replay", () => {
  it("decodes answers serially and in branches, and reports the speed-up", () => {
    const data = join(folder, "answers.jsonl");
    writeFileSync(data, answers.map((answer) => `${JSON.stringify(answer)}\n`).join(""));
    const { stdout, stderr, status } = run("--data", data, "--shape", "tiny", "--json");
    expect(status, stderr).toBe(0);
    const figures = JSON.parse(stdout) as ReplayFigures;
    expect(figures).toMatchObject({ answers: 2, parallel_answers: 1 });
    expect(figures.by_category.drinks?.parallel_answers).toBe(1);
    expect(figures.by_category.talk).toMatchObject({ parallel_answers: 0, speedup: null });
    // Four branches of one length, less the plan, the fork and the join.
    expect(figures.speedup?.steps.mean).toBeGreaterThan(1.3);
    expect(figures.speedup?.steps.mean).toBeLessThan(4);
    expect(figures.speedup_all?.steps.mean).toBeCloseTo(
      (1 + (figures.speedup?.steps.mean ?? 0)) / 2,
      2,
    );
    expect(figures.by_category.talk?.speedup_all?.wall.mean).toBe(1);
  });

  it("gives an answer without structure as many steps as decoding it takes", () => {
    const data = join(folder, "answers.jsonl");
    const figures = (...more: string[]) => {
      const { stdout, stderr, status } = run("--data", data, "--shape", "tiny", "--json", ...more);
      expect(status, stderr).toBe(0);
      return JSON.parse(stdout) as ReplayFigures;
    };
    const [derived, decoded] = [figures(), figures("--all", "--runs", "2")];
    expect(derived).toMatchObject({ runs: 1, unbranched: "derived" });
    expect(decoded).toMatchObject({ runs: 2, unbranched: "decoded" });
    expect(derived.speedup_all?.steps).toEqual(decoded.speedup_all?.steps);
    expect(derived.speedup?.steps).toEqual(decoded.speedup?.steps);
  });

  it("names the argument that it refuses", () => {
    expect(run().stderr).toContain("--data");
    expect(run("--data", join(folder, "none.jsonl"), "--shape", "tiny").status).toBe(1);
    expect(run("--data", "x", "--shape", "huge").stderr).toContain("tiny");
    expect(run("--help").stdout).toContain("npm run bench -- replay");
  });
});
