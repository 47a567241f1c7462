// Checkpoints with random weights in the shape of a known model, as Hugging Face folders.
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { say } from "./report.ts";
import { type Shape, shapeOf } from "./shapes.ts";

interface Tensor {
  name: string;
  shape: number[];
  kind: "weight" | "norm" | "bias";
}

function tensorsOf(s: Shape): Tensor[] {
  const q = s.num_attention_heads * s.head_dim;
  const kv = s.num_key_value_heads * s.head_dim;
  const out: Tensor[] = [];
  const add = (name: string, kind: Tensor["kind"], ...shape: number[]) =>
    out.push({ name, shape, kind });
  add("model.embed_tokens.weight", "weight", s.vocab_size, s.hidden_size);
  for (let layer = 0; layer < s.num_hidden_layers; layer++) {
    const at = `model.layers.${layer}`;
    add(`${at}.input_layernorm.weight`, "norm", s.hidden_size);
    for (const [name, n] of Object.entries({ q_proj: q, k_proj: kv, v_proj: kv })) {
      add(`${at}.self_attn.${name}.weight`, "weight", n, s.hidden_size);
      if (s.model_type === "qwen2") add(`${at}.self_attn.${name}.bias`, "bias", n);
    }
    add(`${at}.self_attn.o_proj.weight`, "weight", s.hidden_size, q);
    if (s.model_type === "qwen3") {
      add(`${at}.self_attn.q_norm.weight`, "norm", s.head_dim);
      add(`${at}.self_attn.k_norm.weight`, "norm", s.head_dim);
    }
    add(`${at}.post_attention_layernorm.weight`, "norm", s.hidden_size);
    add(`${at}.mlp.gate_proj.weight`, "weight", s.intermediate_size, s.hidden_size);
    add(`${at}.mlp.up_proj.weight`, "weight", s.intermediate_size, s.hidden_size);
    add(`${at}.mlp.down_proj.weight`, "weight", s.hidden_size, s.intermediate_size);
  }
  add("model.norm.weight", "norm", s.hidden_size);
  if (!s.tie_word_embeddings) add("lm_head.weight", "weight", s.vocab_size, s.hidden_size);
  return out;
}

/** 65,536 bf16 values of N(mean, deviation), by Box-Muller on a seeded xorshift32. */
function normals(mean: number, deviation: number, seed: number): Uint16Array {
  let state = seed;
  const uniform = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) + 1) / 4294967297;
  };
  const out = new Uint16Array(65536);
  const bits = new Uint32Array(1);
  const float = new Float32Array(bits.buffer);
  for (let i = 0; i < out.length; i++) {
    float[0] =
      mean + deviation * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    const word = bits[0] ?? 0;
    out[i] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return out;
}

const root = fileURLToPath(new URL("../..", import.meta.url));

/**
 * The folder of a shape's random checkpoint: config.json and bf16 safetensors. Weights and biases are
 * N(0, 0.02), norms N(1, 0.1). It is written on first use, with the same bytes on every machine.
 * @throws UsageError if no shape has this name
 */
export function randomCheckpoint(name: string): string {
  const folder = join(root, ".anabranch", "shapes", name);
  if (!existsSync(folder)) writeCheckpoint(folder, shapeOf(name));
  return folder;
}

function writeCheckpoint(folder: string, shape: Shape): void {
  const part = `${folder}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part, { recursive: true });
  writeFileSync(
    join(part, "config.json"),
    `${JSON.stringify({ ...shape, hidden_act: "silu", eos_token_id: 0, torch_dtype: "bfloat16" }, null, 2)}\n`,
  );
  const tensors = tensorsOf(shape);
  const header: Record<string, unknown> = {};
  let size = 0;
  for (const tensor of tensors) {
    const end = size + 2 * elementCount(tensor);
    header[tensor.name] = { dtype: "BF16", shape: tensor.shape, data_offsets: [size, end] };
    size = end;
  }
  say(`writing ${folder} (${(size / 1e6).toFixed(0)} MB of random weights, once)`);
  const text = JSON.stringify(header);
  const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));

  const file = openSync(join(part, "model.safetensors"), "w");
  writeSync(file, length);
  writeSync(file, padded);
  writeWeights(file, tensors, size);
  closeSync(file);
  mkdirSync(dirname(folder), { recursive: true });
  renameSync(part, folder);
}

const elementCount = ({ shape }: Tensor) => shape.reduce((product, extent) => product * extent, 1);

/** Writes every tensor's values, drawn at random from a table of normal values. */
function writeWeights(file: number, tensors: readonly Tensor[], size: number): void {
  const tables = {
    weight: normals(0, 0.02, 1),
    bias: normals(0, 0.02, 2),
    norm: normals(1, 0.1, 3),
  };
  const chunk = new Uint16Array(1 << 21);
  let state = 0x9e3779b9;
  let written = 0;
  let reported = 0;
  for (const tensor of tensors) {
    const table = tables[tensor.kind];
    for (let left = elementCount(tensor); left > 0; left -= chunk.length) {
      const n = Math.min(left, chunk.length);
      for (let i = 0; i < n; i++) {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        chunk[i] = table[(state >>> 8) & 0xffff] ?? 0;
      }
      writeSync(file, chunk, 0, 2 * n);
      written += 2 * n;
      if (written - reported >= 250e6) {
        reported = written;
        say(`  ${((100 * written) / size).toFixed(0)}%`);
      }
    }
  }
}
