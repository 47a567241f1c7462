// What a model's weight files hold, by their headers alone: also of types that the engine does not know.
import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { GGMLQuantizationType } from "@huggingface/gguf";
import { shardsOf, WEIGHTS, WEIGHTS_INDEX } from "../hub/needed-files.ts";
import { ggufHeader } from "./gguf.ts";
import { partsOf } from "./gguf-parts.ts";
import type { LocatedModel } from "./locate.ts";
import { readJson } from "./model-files.ts";

export interface TensorType {
  /** As its format names it: "BF16", "Q4_K". */
  type: string;
  tensors: number;
  parameters: number;
  bytes: number;
}

/** Bytes of a safetensors header, as the engine allows. */
export const MAX_HEADER = 100 << 20;

/**
 * The types of a model's tensors, the largest first.
 * @throws Error naming the file that is missing or wrong
 */
export async function tensorTypes({ format, path }: LocatedModel): Promise<TensorType[]> {
  const types = new Map<string, TensorType>();
  const add = (type: string, shape: readonly number[], bytes: number) => {
    const sum = types.get(type) ?? { type, tensors: 0, parameters: 0, bytes: 0 };
    sum.tensors++;
    sum.parameters += shape.reduce((all, extent) => all * extent, 1);
    sum.bytes += bytes;
    types.set(type, sum);
  };
  if (format === "gguf") for (const part of partsOf(path)) await addGguf(part, add);
  else {
    const perWord = valuesPerWord(path);
    for (const file of weightFiles(path)) addSafetensors(file, perWord, add);
  }
  return [...types.values()].sort((a, b) => b.bytes - a.bytes);
}

type Add = (type: string, shape: readonly number[], bytes: number) => void;

/** The safetensors files of a folder. */
export function weightFiles(folder: string): string[] {
  const single = join(folder, WEIGHTS);
  if (existsSync(single)) return [single];
  const index = join(folder, WEIGHTS_INDEX);
  if (!existsSync(index)) {
    const pickled = existsSync(join(folder, "pytorch_model.bin"));
    const hint = pickled ? "; save pytorch_model.bin again as safetensors with transformers" : "";
    throw new Error(`${folder}: has neither ${WEIGHTS} nor ${WEIGHTS_INDEX}${hint}`);
  }
  return shardsOf(index, readJson(index)).map((name) => join(folder, name));
}

/** How many values a 32-bit word of a tensor holds. */
type ValuesPerWord = (name: string, dtype: string) => number;

/** AWQ, GPTQ and compressed-tensors have four bits, MLX what config.json says of the layer. */
function valuesPerWord(folder: string): ValuesPerWord {
  const config = join(folder, "config.json");
  const mlx = existsSync(config) ? readJson(config).quantization : undefined;
  if (typeof mlx !== "object" || mlx === null) {
    return (name) => (/\.(qweight|weight_packed)$/.test(name) ? 8 : 1);
  }
  const layers = mlx as Record<string, unknown>;
  const bitsOf = (value: unknown) => (value as { bits?: unknown } | undefined)?.bits;
  return (name, dtype) => {
    if (dtype !== "U32") return 1;
    const bits = bitsOf(layers[name.replace(/\.weight$/, "")]) ?? bitsOf(layers);
    return typeof bits === "number" && bits > 0 ? 32 / bits : 1;
  };
}

interface SafetensorsEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** 8 bytes with the header's length, then the header as JSON. */
function addSafetensors(path: string, perWord: ValuesPerWord, add: Add): void {
  const fail = (what: string): never => {
    throw new Error(`${path}: ${what}`);
  };
  if (!existsSync(path)) fail("the model has no such file");
  const file = openSync(path, "r");
  try {
    const length = Buffer.alloc(8);
    if (readSync(file, length) < 8) fail("is no safetensors file");
    const size = Number(length.readBigUInt64LE());
    if (size > Math.min(MAX_HEADER, statSync(path).size - 8)) fail("is no safetensors file");
    const header = Buffer.alloc(size);
    readSync(file, header);
    const entries = JSON.parse(header.toString()) as Record<string, SafetensorsEntry>;
    for (const [name, { dtype, shape, data_offsets }] of Object.entries(entries)) {
      if (name === "__metadata__") continue;
      add(dtype, [...shape, perWord(name, dtype)], data_offsets[1] - data_offsets[0]);
    }
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) fail("has a broken header");
    throw error;
  } finally {
    closeSync(file);
  }
}

/** A tensor ends where the next one begins. */
async function addGguf(path: string, add: Add): Promise<void> {
  const { tensorInfos, tensorDataOffset } = await ggufHeader(path);
  const sorted = tensorInfos.toSorted((a, b) => Number(a.offset - b.offset));
  const end = BigInt(statSync(path).size) - tensorDataOffset;
  if (end <= (sorted.at(-1)?.offset ?? 0n)) {
    throw new Error(`${path}: is cut off before its last tensors: fetch it again`);
  }
  sorted.forEach(({ dtype, shape, offset }, i) => {
    const bytes = Number((sorted[i + 1]?.offset ?? end) - offset);
    add(GGMLQuantizationType[dtype] ?? `type ${dtype}`, shape.map(Number), bytes);
  });
}
