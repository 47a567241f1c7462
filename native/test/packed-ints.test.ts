// Four-bit checkpoints in the formats of AWQ, GPTQ and compressed-tensors, packed here as those formats
// are published. In fp32 their logits equal those of the same values stored as fp32, to the bit; in int4
// they are close, as nothing but the inputs of products is rounded.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Dtype, openEngine } from "../src/index.ts";
import { folderLike, refusal, tiny } from "./answers.ts";
import { nmse } from "./logits.ts";

interface Stored {
  dtype: string;
  shape: number[];
  bytes: Uint8Array;
}

const config = JSON.parse(readFileSync(join(tiny, "config.json"), "utf8")) as object;

function readTensors(path: string): Map<string, Stored> {
  const file = readFileSync(path);
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + length).toString()) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  return new Map(
    Object.entries(header)
      .filter(([name]) => name !== "__metadata__")
      .map(
        ([
          name,
          {
            dtype,
            shape,
            data_offsets: [from, to],
          },
        ]) => [name, { dtype, shape, bytes: file.subarray(8 + length + from, 8 + length + to) }],
      ),
  );
}

function writeTensors(tensors: ReadonlyMap<string, Stored>): Uint8Array {
  const header: Record<string, unknown> = {};
  let size = 0;
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [size, size + bytes.length] };
    size += bytes.length;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...[...tensors.values()].map(({ bytes }) => bytes)]);
}

const bytesOf = (values: Int32Array | Uint16Array | Float32Array) =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** A layer [n, k] of four-bit levels, with a scale (fp16 bits) and a zero point per group of a row. */
interface Layer {
  n: number;
  k: number;
  group: number;
  level: (row: number, column: number) => number;
  /** A power of two, so that every product with it is exact. */
  exponent: (row: number, group: number) => number;
  zero: (row: number, group: number) => number;
}

const groupsOf = ({ k, group }: Layer) => Math.ceil(k / group);
const scaleBits = (exponent: number) => (exponent + 15) << 10;

/** Eight values per int32: nibble i of word [outer, inner] is `value(outer, inner, i)`. */
function pack(
  outer: number,
  inner: number,
  value: (outer: number, inner: number, i: number) => number,
): Stored {
  const words = new Int32Array(outer * inner);
  for (let at = 0; at < words.length; at++) {
    let word = 0;
    for (let i = 0; i < 8; i++) {
      word |= value(Math.floor(at / inner), at % inner, i) << (4 * i);
    }
    words[at] = word;
  }
  return { dtype: "I32", shape: [outer, inner], bytes: bytesOf(words) };
}

function scales(layer: Layer, byRow: boolean): Stored {
  const groups = groupsOf(layer);
  const shape = byRow ? [layer.n, groups] : [groups, layer.n];
  const values = new Uint16Array(layer.n * groups);
  for (let row = 0; row < layer.n; row++) {
    for (let group = 0; group < groups; group++) {
      const at = byRow ? row * groups + group : group * layer.n + row;
      values[at] = scaleBits(layer.exponent(row, group));
    }
  }
  return { dtype: "F16", shape, bytes: bytesOf(values) };
}

/** AutoAWQ's order of the columns of a word. */
const awqOrder = [0, 2, 4, 6, 1, 3, 5, 7] as const;

const formats = {
  awq: {
    config: { quant_method: "awq", bits: 4, group_size: 16, zero_point: true, version: "gemm" },
    zero: (row: number, group: number) => (row * 3 + group * 5) % 16,
    parts: (layer: Layer): Record<string, Stored> => ({
      qweight: pack(layer.k, layer.n / 8, (column, word, i) =>
        layer.level(8 * word + (awqOrder[i] ?? 0), column),
      ),
      qzeros: pack(groupsOf(layer), layer.n / 8, (group, word, i) =>
        layer.zero(8 * word + (awqOrder[i] ?? 0), group),
      ),
      scales: scales(layer, false),
    }),
  },
  gptq: {
    config: { quant_method: "gptq", bits: 4, group_size: 32, desc_act: false, sym: false },
    zero: (row: number, group: number) => 1 + ((row * 3 + group * 5) % 16),
    parts: (layer: Layer): Record<string, Stored> => ({
      qweight: pack(layer.k / 8, layer.n, (word, row, i) => layer.level(row, 8 * word + i)),
      qzeros: pack(
        groupsOf(layer),
        layer.n / 8,
        (group, word, i) => layer.zero(8 * word + i, group) - 1,
      ),
      scales: scales(layer, false),
      g_idx: {
        dtype: "I32",
        shape: [layer.k],
        bytes: bytesOf(Int32Array.from({ length: layer.k }, (_, i) => Math.floor(i / layer.group))),
      },
    }),
  },
  "compressed-tensors": {
    config: {
      quant_method: "compressed-tensors",
      format: "pack-quantized",
      config_groups: {
        group_0: {
          weights: { num_bits: 4, type: "int", strategy: "group", group_size: 32, symmetric: true },
        },
      },
    },
    zero: () => 8,
    parts: (layer: Layer): Record<string, Stored> => ({
      weight_packed: pack(layer.n, layer.k / 8, (row, word, i) => layer.level(row, 8 * word + i)),
      weight_scale: scales(layer, true),
      weight_shape: { dtype: "I64", shape: [2], bytes: new Uint8Array(16) },
    }),
  },
  mlx: {
    config: { group_size: 32, bits: 4 },
    zero: (row: number, group: number) => (row * 3 + group * 5) % 16,
    parts: (layer: Layer): Record<string, Stored> => {
      const words = pack(layer.n, layer.k / 8, (row, word, i) => layer.level(row, 8 * word + i));
      const scale = scales(layer, true);
      const biases = Float32Array.from({ length: layer.n * groupsOf(layer) }, (_, at) => {
        const [row, group] = [Math.floor(at / groupsOf(layer)), at % groupsOf(layer)];
        return -(2 ** layer.exponent(row, group)) * layer.zero(row, group);
      });
      return {
        weight: { ...words, dtype: "U32" },
        scales: scale,
        biases: { dtype: "F32", shape: scale.shape, bytes: bytesOf(biases) },
      };
    },
  },
};

type Format = keyof typeof formats;

/** The key of config.json. */
const keyOf = (format: Format) => (format === "mlx" ? "quantization" : "quantization_config");

/**
 * The tiny model with random four-bit layers: as packed, and as the values that they mean. Layers that
 * `keep` names stay as they are.
 */
function models(
  format: Format,
  change: object = {},
  drop: (name: string) => boolean = () => false,
  keep: (name: string) => boolean = () => false,
) {
  const { config: quantization, zero, parts } = formats[format];
  const group = "group_size" in quantization ? quantization.group_size : 32;
  const packed = new Map<string, Stored>();
  const plain = new Map<string, Stored>();
  for (const [name, stored] of readTensors(join(tiny, "model.safetensors"))) {
    const [n = 0, k = 0] = stored.shape;
    // MLX has whole groups only.
    const whole = format !== "mlx" || k % group === 0;
    if (!/proj\.weight$/.test(name) || keep(name) || !whole) {
      packed.set(name, stored);
      plain.set(name, stored);
      continue;
    }
    const layer: Layer = {
      ...{ n, k, group, zero },
      level: (row, column) => (row * 7 + column * 11 + name.length + ((row * column) % 13)) % 16,
      exponent: (row, at) => -6 - ((row + at) % 3),
    };
    const base = name.replace(/\.weight$/, "");
    for (const [part, value] of Object.entries(parts(layer))) {
      if (!drop(part)) packed.set(`${base}.${part}`, value);
    }
    const values = Float32Array.from({ length: n * k }, (_, at) => {
      const [row, column] = [Math.floor(at / k), at % k];
      const of = Math.floor(column / group);
      return 2 ** layer.exponent(row, of) * (layer.level(row, column) - zero(row, of));
    });
    plain.set(name, { dtype: "F32", shape: [n, k], bytes: bytesOf(values) });
  }
  const quantized = { ...config, [keyOf(format)]: { ...quantization, ...change } };
  return {
    packed: folderLike(tiny, {
      "config.json": JSON.stringify(quantized),
      "model.safetensors": writeTensors(packed),
    }),
    plain: folderLike(tiny, { "model.safetensors": writeTensors(plain) }),
  };
}

async function logits(model: string, dtype: Dtype): Promise<Float32Array> {
  const engine = openEngine({ model, dtype, device: "cpu", threads: 1, kvMib: 1 }, () => {});
  const tokens = Array.from({ length: 24 }, (_, i) => (i * 37 + 5) % 192);
  const { logits } = await engine.score([{ serial: tokens }], "sum", { logits: true });
  engine.close();
  if (!logits) throw new Error("no logits");
  return logits;
}

const open = (model: string) =>
  openEngine({ model, device: "cpu", threads: 1, kvMib: 1 }, () => {}).close();

describe.each(Object.keys(formats) as Format[])("%s", (format) => {
  const { packed, plain } = models(format);

  it("means the values that its levels, scales and zero points say", async () => {
    expect(await logits(packed, "fp32")).toEqual(await logits(plain, "fp32"));
  });

  it("is close in int4, which is its own type", async () => {
    const engine = openEngine({ model: packed, device: "cpu", threads: 1, kvMib: 1 }, () => {});
    // A group of 16 is smaller than the kernels', so it takes eight bits.
    expect(engine.info().backend.endsWith(format === "awq" ? "int8" : "int4")).toBe(true);
    engine.close();
    const error = nmse(await logits(packed, "int4"), await logits(plain, "fp32"));
    expect(error).toBeGreaterThan(0);
    // The embedding and the head have eight bits; MLX keeps a float layer, which is quantized.
    expect(error).toBeLessThan({ awq: 3e-3, mlx: 5e-3 }[format as string] ?? 2e-4);
  });

  it("may have float layers beside it, which are quantized", async () => {
    const mixed = models(format, {}, undefined, (name) => name.includes("v_proj"));
    const error = nmse(await logits(mixed.packed, "int4"), await logits(mixed.plain, "fp32"));
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(2e-2);
  });

  it("is refused by name if it is broken or of a kind that is not known", () => {
    const scalesName = format === "compressed-tensors" ? "weight_scale" : "scales";
    const missing = format === "mlx" ? "biases" : scalesName;
    const without = models(format, {}, (part) => part === missing);
    expect(() => open(without.packed)).toThrow(new RegExp(`${missing}" is missing`));
    const wrongGroup =
      format === "compressed-tensors"
        ? { config_groups: { a: { weights: { num_bits: 4, group_size: 8 } } } }
        : { group_size: 8 };
    expect(() => open(models(format, wrongGroup).packed)).toThrow(/has shape|words a row/);
    expect(refusal(() => open(models(format, { quant_method: "fp8", mode: "mxfp4" }).packed))).toBe(
      "failed_precondition",
    );
  });
});

it("reads what AutoRound packs as GPTQ or AWQ", async () => {
  for (const format of ["gptq", "awq"] as const) {
    const { packed, plain } = models(format, {
      ...{ quant_method: "auto-round", packing_format: `auto_round:auto_${format}` },
    });
    expect(await logits(packed, "fp32")).toEqual(await logits(plain, "fp32"));
  }
});
