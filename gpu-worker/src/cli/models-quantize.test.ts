// npm run models -- quantize.
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Dtype, openEngine, type QuantizedPart } from "@anabranch/native";
import { afterAll, describe, expect, it } from "vitest";

const at = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "anabranch-quantize-"));
afterAll(() => rmSync(folder, { recursive: true }));

const models = (...args: string[]) =>
  spawnSync(process.execPath, [at("gpu-worker/src/cli/models.ts"), ...args], { encoding: "utf8" });

interface Report {
  path: string;
  bytes: number;
  fourBit: QuantizedPart;
  eightBit: QuantizedPart;
  kept: QuantizedPart;
  inexactScales: number;
}

let copies = 0;
function quantized(model: string, dtype: "int4" | "int8"): Report {
  const { status, stdout, stderr } = models(
    ...["quantize", model, join(folder, `copy-${copies++}`), "--dtype", dtype, "--json"],
  );
  expect(stderr).toContain("are quantized");
  expect(status).toBe(0);
  return JSON.parse(stdout) as Report;
}

/** What to give to the engine. */
const opened = ({ path }: Report) => {
  const gguf = readdirSync(path).find((name) => name.endsWith(".gguf"));
  return gguf ? join(path, gguf) : path;
};

async function scored(model: string, dtype: Dtype) {
  const engine = openEngine({ model, dtype, device: "cpu", threads: 1, kvMib: 2 }, () => {});
  const { backend, vocabulary } = engine.info();
  const tokens = Array.from({ length: 24 }, (_, i) => (i * 37 + 5) % vocabulary);
  const { logits } = await engine.score([{ serial: tokens }], "sum", { logits: true });
  engine.close();
  return { backend, logits };
}

const fixture = (name: string) => at(`native/test/oracle/fixtures/${name}`);

describe.each([
  at("models/small"),
  fixture("llama-default"),
  fixture("phi3-short"),
  fixture("gemma3-default"),
  fixture("qwen3-yarn-sharded"),
  at("native/test/gguf/fixtures/model.gguf"),
])("%s", (model) => {
  it.each(["int4", "int8"] as const)(
    "answers from its copy as from itself in %s, bit for bit",
    async (dtype) => {
      const copy = quantized(model, dtype);
      expect(copy.inexactScales).toBe(0);
      const [before, after] = [await scored(model, dtype), await scored(opened(copy), dtype)];
      expect(after).toEqual(before);
    },
  );
});

it("keeps the text of a folder, and chooses int4 by itself", async () => {
  const { path, fourBit, eightBit } = quantized(at("models/small"), "int4");
  expect(fourBit.tensors).toBeGreaterThan(0);
  expect(eightBit.tensors).toBe(1);
  expect((await scored(path, "auto")).backend).toMatch(/int4$/);
  const shown = models("show", path, "--json");
  const original = models("show", at("models/small"), "--json");
  const [copy, from] = [shown, original].map(({ stdout }) => JSON.parse(stdout));
  for (const field of ["chatTemplate", "dialect", "samplingDefaults", "vocabulary", "context"]) {
    expect(copy[field]).toEqual(from[field]);
  }
  expect(copy.bitsPerWeight).toBeLessThan(6);
  expect(copy.runsHere).toBe(true);
});

interface Stored {
  dtype: string;
  shape: number[];
  bytes: Buffer;
}

function tensorsOf(path: string): Map<string, Stored> {
  const file = readFileSync(join(path, "model.safetensors"));
  const size = Number(file.readBigUInt64LE());
  const header = JSON.parse(file.toString("utf8", 8, 8 + size));
  return new Map(
    Object.entries(header as Record<string, Stored & { data_offsets: [number, number] }>)
      .filter(([name]) => name !== "__metadata__")
      .map(
        ([
          name,
          {
            dtype,
            shape,
            data_offsets: [from, to],
          },
        ]) => [name, { dtype, shape, bytes: file.subarray(8 + size + from, 8 + size + to) }],
      ),
  );
}

function bf16(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0] ?? 0;
}

function fp16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  return (
    sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15))
  );
}

/** By MLX's own rule: value = scale · q + bias, levels from the low bits of each word on. */
function measuredError(
  before: Map<string, Stored>,
  after: Map<string, Stored>,
  bits: number,
): number {
  let [error, size] = [0, 0];
  for (const [name, { dtype, shape, bytes }] of after) {
    const [scales, biases] = [".scales", ".biases"].map((part) =>
      after.get(name.replace(/\.weight$/, part)),
    );
    const original = before.get(name);
    if (dtype !== "U32" || !scales || !biases || !original) continue;
    const read = scales.dtype === "F16" ? fp16 : bf16;
    if ((scales.dtype === "F16" ? 4 : 8) !== bits) continue;
    const [rows = 0, words = 0] = shape;
    const [k, groups] = [(words * 32) / bits, scales.shape[1] ?? 0];
    for (let i = 0; i < rows * k; i++) {
      const level = (bytes.readUInt8((i * bits) >> 3) >> ((i * bits) & 7)) & ((1 << bits) - 1);
      const group = 2 * (Math.floor(i / k) * groups + Math.floor((i % k) / (k / groups)));
      const value =
        read(scales.bytes.readUInt16LE(group)) * level + read(biases.bytes.readUInt16LE(group));
      const wanted = bf16(original.bytes.readUInt16LE(2 * i));
      error += (value - wanted) ** 2;
      size += wanted ** 2;
    }
  }
  return error / size;
}

it("says the error that its weights have", () => {
  const model = at("models/small");
  const { path, fourBit, eightBit } = quantized(model, "int4");
  const [before, after] = [tensorsOf(model), tensorsOf(path)];
  const [four, eight] = [4, 8].map((bits) => measuredError(before, after, bits));
  expect(fourBit.error / (four ?? 0)).toBeCloseTo(1, 4);
  expect(eightBit.error / (eight ?? 0)).toBeCloseTo(1, 4);
});

describe("refuses", () => {
  it("to write over what is there", () => {
    const { status, stderr } = models("quantize", at("models/small"), folder);
    expect(status).toBe(2);
    expect(stderr).toMatch(/is there already; give another folder/);
  });

  it("a model that is quantized already", () => {
    const { path } = quantized(at("models/small"), "int4");
    const again = join(folder, "again");
    const { status, stderr } = models("quantize", path, again);
    expect(status).toBe(1);
    expect(stderr).toMatch(/is quantized already: quantize the original weights/);
    expect(existsSync(again)).toBe(false);
  });

  it("weights that are not finite, and leaves nothing behind", () => {
    const model = join(folder, "broken");
    cpSync(at("models/small"), model, { recursive: true });
    const weights = join(model, "model.safetensors");
    const bytes = readFileSync(weights);
    const size = Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.toString("utf8", 8, 8 + size));
    const [offset] = header["model.layers.0.mlp.down_proj.weight"].data_offsets;
    bytes.writeUInt16LE(0x7fc0, 8 + size + offset); // NaN in bf16
    writeFileSync(weights, bytes);
    const before = readdirSync(folder);
    const { status, stderr } = models("quantize", model, join(folder, "out"));
    expect(status).toBe(1);
    expect(stderr).toMatch(/down_proj\.weight" has values that are not finite/);
    expect(readdirSync(folder)).toEqual(before);
  });
});
