// Writes a checkpoint's weights as GGUF, the file format of llama.cpp, so that a peer computes with the
// same numbers. Format: ggml's docs/gguf.md, version 3.
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { say } from "./report.ts";
import type { Shape } from "./shapes.ts";

/** Type of the matrices. Norms and biases are always fp32. */
export type GgufType = "bf16" | "q8_0" | "q4_0";

/** Codes of GGUF's value types and of ggml's tensor types. */
const valueType = { u32: 4, i32: 5, f32: 6, string: 8, array: 9 };
const tensorType = { f32: 0, q4_0: 2, q8_0: 8, bf16: 30 };
const alignment = 32;

/** Builds a little-endian byte sequence. */
class ByteBuilder {
  readonly #parts: Buffer[] = [];

  u32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value);
    return this.raw(part);
  }
  u64(value: number): this {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(BigInt(value));
    return this.raw(part);
  }
  f32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeFloatLE(value);
    return this.raw(part);
  }
  text(value: string): this {
    const bytes = Buffer.from(value);
    return this.u64(bytes.length).raw(bytes);
  }
  raw(part: Buffer): this {
    this.#parts.push(part);
    return this;
  }
  done(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

/**
 * An invented vocabulary in GPT-2's format, because llama.cpp loads no file without one: the 256 bytes as
 * GPT-2's printable letters, one merge, and fillers.
 */
function vocabulary(size: number): { tokens: string[]; merges: string[] } {
  const printable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  const tokens = Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(printable(byte) ? byte : next++),
  );
  const space = tokens[32] ?? "";
  tokens.push(space + space);
  while (tokens.length < size) tokens.push(`<filler ${tokens.length}>`);
  return { tokens, merges: [`${space} ${space}`] };
}

function metadata(shape: Shape): ByteBuilder {
  const arch = shape.model_type;
  const numbers: [string, "u32" | "f32", number][] = [
    ["block_count", "u32", shape.num_hidden_layers],
    ["context_length", "u32", shape.max_position_embeddings],
    ["embedding_length", "u32", shape.hidden_size],
    ["feed_forward_length", "u32", shape.intermediate_size],
    ["attention.head_count", "u32", shape.num_attention_heads],
    ["attention.head_count_kv", "u32", shape.num_key_value_heads],
    ["attention.key_length", "u32", shape.head_dim],
    ["attention.value_length", "u32", shape.head_dim],
    ["rope.freq_base", "f32", shape.rope_theta],
    ["attention.layer_norm_rms_epsilon", "f32", shape.rms_norm_eps],
  ];
  const { tokens, merges } = vocabulary(shape.vocab_size);
  const out = new ByteBuilder();
  const text = (key: string, value: string) => out.text(key).u32(valueType.string).text(value);
  const list = (key: string, kind: keyof typeof valueType, count: number) =>
    out.text(key).u32(valueType.array).u32(valueType[kind]).u64(count);
  out.u64(numbers.length + 7);
  text("general.architecture", arch);
  for (const [key, kind, value] of numbers) {
    out.text(`${arch}.${key}`).u32(valueType[kind])[kind](value);
  }
  text("tokenizer.ggml.model", "gpt2");
  text("tokenizer.ggml.pre", "qwen2");
  list("tokenizer.ggml.tokens", "string", tokens.length);
  for (const token of tokens) out.text(token);
  list("tokenizer.ggml.token_type", "i32", tokens.length);
  for (let i = 0; i < tokens.length; i++) out.u32(1);
  list("tokenizer.ggml.merges", "string", merges.length);
  for (const merge of merges) out.text(merge);
  out.text("tokenizer.ggml.eos_token_id").u32(valueType.u32).u32(0);
  return out;
}

/** The name that llama.cpp gives to a tensor. */
function ggufName(name: string): string {
  const parts: Record<string, string> = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    input_layernorm: "attn_norm",
    post_attention_layernorm: "ffn_norm",
  };
  const layer = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name);
  if (layer) return `blk.${layer[1]}.${parts[layer[2] ?? ""]}.${layer[3]}`;
  return name === "model.embed_tokens.weight" ? "token_embd.weight" : "output_norm.weight";
}

/** bf16 values as fp32. */
const widened = (values: Uint16Array) => {
  const bits = new Uint32Array(values.length);
  for (let i = 0; i < values.length; i++) bits[i] = (values[i] ?? 0) << 16;
  return new Float32Array(bits.buffer);
};

/** A normal number, or 0, as fp16, rounded to nearest. Scales of weights are always one. */
function toHalf(value: number): number {
  if (value === 0) return 0;
  const size = Math.abs(value);
  const exponent = Math.max(-14, Math.floor(Math.log2(size)));
  const magnitude = Math.round((size / 2 ** exponent - 1) * 1024) + ((exponent + 15) << 10);
  return value < 0 ? magnitude | 0x8000 : magnitude;
}

/** Quantizes to blocks of 32 values, each an fp16 scale followed by int8. */
function toQ8(values: Float32Array): Buffer {
  const out = Buffer.alloc((values.length / 32) * 34);
  for (let first = 0, at = 0; first < values.length; first += 32, at += 34) {
    let largest = 0;
    for (let i = 0; i < 32; i++) largest = Math.max(largest, Math.abs(values[first + i] ?? 0));
    const scale = largest / 127;
    out.writeUInt16LE(toHalf(scale), at);
    for (let i = 0; i < 32; i++) {
      out.writeInt8(scale === 0 ? 0 : Math.round((values[first + i] ?? 0) / scale), at + 2 + i);
    }
  }
  return out;
}

/**
 * Quantizes to blocks of 32 values, each an fp16 scale followed by four-bit values, of which i and
 * i + 16 share a byte. The value of the largest magnitude becomes -8.
 */
function toQ4(values: Float32Array): Buffer {
  const out = Buffer.alloc((values.length / 32) * 18);
  for (let first = 0, at = 0; first < values.length; first += 32, at += 18) {
    let largest = 0;
    for (let i = 0; i < 32; i++) {
      const value = values[first + i] ?? 0;
      if (Math.abs(value) > Math.abs(largest)) largest = value;
    }
    const scale = largest / -8;
    out.writeUInt16LE(toHalf(scale), at);
    const level = (i: number) =>
      scale === 0 ? 8 : Math.min(15, Math.round((values[first + i] ?? 0) / scale + 8));
    for (let i = 0; i < 16; i++) out[at + 2 + i] = level(i) | (level(i + 16) << 4);
  }
  return out;
}

/** Bytes of `count` elements, and how they are made from bf16. */
const encodings = {
  f32: { bytes: 4, encode: (values: Uint16Array) => Buffer.from(widened(values).buffer) },
  bf16: {
    bytes: 2,
    encode: (values: Uint16Array) => Buffer.from(values.buffer, 0, values.byteLength),
  },
  q8_0: { bytes: 34 / 32, encode: (values: Uint16Array) => toQ8(widened(values)) },
  q4_0: { bytes: 18 / 32, encode: (values: Uint16Array) => toQ4(widened(values)) },
} as const;

/** How a tensor is stored: as llama.cpp's own quantizer does, a tied embedding has eight bits. */
function kindOf(name: string, shape: readonly number[], type: GgufType): keyof typeof encodings {
  if (shape.length === 1) return "f32";
  return type === "q4_0" && name === "model.embed_tokens.weight" ? "q8_0" : type;
}

/** The GGUF file of a random checkpoint, written into its folder on first use. */
export function ggufFile(folder: string, shape: Shape, type: GgufType): string {
  const path = join(folder, `model-${type}.gguf`);
  if (existsSync(path)) return path;
  say(`writing ${path}, once`);
  const source = openSync(join(folder, "model.safetensors"), "r");
  const length = Buffer.alloc(8);
  readSync(source, length, 0, 8, 0);
  const headerBytes = Number(length.readBigUInt64LE());
  const text = Buffer.alloc(headerBytes);
  readSync(source, text, 0, headerBytes, 8);
  const header = JSON.parse(text.toString()) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  >;

  let offset = 0;
  const tensors = Object.entries(header).map(([name, entry]) => {
    const count = entry.shape.reduce((product, extent) => product * extent, 1);
    const kind = kindOf(name, entry.shape, type);
    const bytes = encodings[kind].bytes * count;
    const tensor = { name, entry, count, kind, bytes, offset } as const;
    offset += Math.ceil(bytes / alignment) * alignment;
    return tensor;
  });
  const head = new ByteBuilder().raw(Buffer.from("GGUF")).u32(3).u64(tensors.length);
  head.raw(metadata(shape).done());
  for (const { name, entry, kind, offset } of tensors) {
    head.text(ggufName(name)).u32(entry.shape.length);
    for (const extent of entry.shape.toReversed()) head.u64(extent);
    head.u32(tensorType[kind]).u64(offset);
  }
  const bytes = head.done();
  const start = Math.ceil(bytes.length / alignment) * alignment;

  const part = `${path}.part`;
  const file = openSync(part, "w");
  writeSync(file, bytes, 0, bytes.length, 0);
  const chunk = new Uint16Array(1 << 20);
  for (const tensor of tensors) {
    let from = 8 + headerBytes + tensor.entry.data_offsets[0];
    let to = start + tensor.offset;
    for (let left = tensor.count; left > 0; left -= chunk.length) {
      const values = chunk.subarray(0, Math.min(left, chunk.length));
      readSync(source, values, 0, values.byteLength, from);
      from += values.byteLength;
      const out = encodings[tensor.kind].encode(values);
      writeSync(file, out, 0, out.length, to);
      to += out.length;
    }
  }
  if (fstatSync(file).size < start + offset)
    writeSync(file, Buffer.alloc(1), 0, 1, start + offset - 1);
  closeSync(file);
  closeSync(source);
  renameSync(part, path);
  return path;
}
