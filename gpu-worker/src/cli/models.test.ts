// The command npm run models -- show; fetch is in hub.test.ts.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inspectModel, openEngine } from "@anabranch/native";
import { afterAll, describe, expect, it } from "vitest";
import type { ModelReport } from "../model/report.ts";

const at = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const ggufFile = at("native/test/gguf/fixtures/model.gguf");
const folder = mkdtempSync(join(tmpdir(), "anabranch-models-"));
afterAll(() => rmSync(folder, { recursive: true }));

const models = (...args: string[]) =>
  spawnSync(process.execPath, [at("gpu-worker/src/cli/models.ts"), ...args], { encoding: "utf8" });

function show(path: string, ...args: string[]) {
  const { status, stdout, stderr } = models("show", path, "--json", ...args);
  expect(stderr).toBe("");
  return { status, report: JSON.parse(stdout) as ModelReport };
}

/** A copy of a model whose config.json has other fields. */
function changed(name: string, fields: object): string {
  const path = join(folder, name);
  cpSync(at("models/small"), path, { recursive: true });
  const config = join(path, "config.json");
  writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, "utf8")), ...fields }));
  return path;
}

describe("show", () => {
  it("says what a folder holds", () => {
    const { status, report } = show(at("models/small"));
    expect(status).toBe(0);
    expect(report).toMatchObject({
      ...{ format: "folder", family: "qwen3", dialect: "aspd", bitsPerWeight: 16 },
      chatTemplate: { origin: "tokenizer_config.json" },
      samplingDefaults: { temperature: 0, topP: 1 },
      ...{ runsHere: true, problems: [] },
    });
    expect(report.types.map(({ type }) => type)).toEqual(["BF16"]);
    expect(report.kvTokens).toBe(report.context);
  });

  it("lists the LoRA adapters in a model's folder", () => {
    const path = changed("adapted", {});
    for (const name of ["b", "adapters/a"]) {
      cpSync(at("gpu-worker/test/adapters/loud"), join(path, name), { recursive: true });
    }
    const { adapters } = show(path).report;
    expect(adapters).toEqual([
      { path: join(path, "adapters/a"), rank: 1, base: "models/small" },
      { path: join(path, "b"), rank: 1, base: "models/small" },
    ]);
    expect(models("show", path).stdout).toContain("rank 1, of models/small");
    const alone = models("show", join(path, "b"));
    expect(alone.stderr).toContain("--adapter NAME=");
  });

  it("says what a GGUF file holds", () => {
    const { report } = show(ggufFile);
    expect(report).toMatchObject({ format: "gguf", family: "llama", vocabulary: 96, context: 128 });
    expect(report.types.find(({ type }) => type === "Q4_K")).toMatchObject({ tensors: 2 });
    expect(report.parameters).toBe(
      report.types.reduce((sum, { parameters }) => sum + parameters, 0),
    );
  });

  it("takes the memory of KV from the number of tokens", () => {
    const [of100, of200] = [100, 200].map((n) => show(ggufFile, "--kv-tokens", `${n}`).report);
    of100?.memory.forEach(({ kvBytes, weightBytes }, i) => {
      expect(of200?.memory[i]).toMatchObject({ kvBytes: 2 * kvBytes, weightBytes });
    });
  });

  it("says why a model does not run here, all reasons at once", () => {
    const { status, report } = show(changed("unknown", { model_type: "rwkv" }));
    expect(status).toBe(1);
    expect(report).toMatchObject({ family: "rwkv", runsHere: false, dialect: "aspd" });
    expect(report.problems).toEqual([expect.stringMatching(/"rwkv"; known are llama/)]);
    expect(report.parameters).toBeGreaterThan(0);

    const broken = changed("broken", { num_hidden_layers: 9 });
    rmSync(join(broken, "tokenizer.json"));
    expect(show(broken).report.problems).toEqual([
      expect.stringMatching(/tensor "model\.layers\.\d+\..+" is missing/),
      expect.stringMatching(/tokenizer\.json: the model has no such file/),
    ]);
    expect(show(ggufFile, "--kv-tokens", "1000000000").report.problems).toEqual([
      expect.stringMatching(/needs at least .+ of memory/),
    ]);
  });

  it("says that a GGUF file is cut off, or none, and no figures of it", () => {
    const whole = readFileSync(ggufFile);
    const cut = join(folder, "cut.gguf");
    writeFileSync(cut, whole.subarray(0, whole.length / 2));
    const { status, report } = show(cut);
    expect(status).toBe(1);
    expect(report).toMatchObject({ types: [], bitsPerWeight: null });
    expect(report.problems).toContainEqual(
      expect.stringMatching(/cut off before its last tensors/),
    );
    expect(models("show", cut).stdout).toMatch(/^parameters +not known$/m);

    writeFileSync(cut, "no");
    const { problems } = show(cut).report;
    expect(problems.filter((problem) => problem.includes("magic"))).toHaveLength(1);
  });

  it("prints the same as text", () => {
    const { status, stdout } = models("show", at("models/small"));
    expect(status).toBe(0);
    expect(stdout).toMatch(/^family +qwen3$/m);
    expect(stdout).toMatch(/^It runs here\.$/m);
  });
});

it.each([
  [[]],
  [["shw"]],
  [["show"]],
  [["show", "a", "b"]],
  [["fetch", "models/small"]],
  [["show", "--x"]],
])("%j is refused in one line", (args) => {
  const { status, stdout, stderr } = models(...args);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr).toMatch(/^models.*: .+\n$/);
});

it.each([["--help"], ["show", "--help"], ["fetch", "--help"]])("%j %j prints help", (...args) => {
  const { status, stdout } = models(...args.filter((arg) => typeof arg === "string"));
  expect({ status, stdout }).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^npm run models/),
  });
});

// A panel's padding is not counted, and the engine's own figure leaves the mapped embedding out.
it.each(["fp32", "bf16", "int8"] as const)(
  "the estimate of %s weights is what the engine packs",
  (dtype) => {
    const model = at("models/small");
    const { memory, config } = inspectModel(model);
    const need = memory.find((each) => each.device === "cpu" && each.dtype === dtype);
    const engine = openEngine({ model, dtype, device: "cpu", threads: 1, kvMib: 8 }, () => {});
    const { weightBytes } = engine.info();
    engine.close();
    const embedding = config.vocabulary * config.hidden * 2;
    expect(((need?.weightBytes ?? 0) - embedding) / weightBytes).toBeCloseTo(1, 1);
  },
);
