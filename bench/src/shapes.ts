// Random checkpoints in the shapes of known models: real Hugging Face folders, made once.
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

export interface Shape {
  model_type: "qwen2" | "qwen3" | "llama";
  hidden_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim: number;
  intermediate_size: number;
  vocab_size: number;
  max_position_embeddings: number;
  rope_theta: number;
  rms_norm_eps: number;
  tie_word_embeddings: boolean;
}

const common = {
  max_position_embeddings: 32768,
  rope_theta: 1e6,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: true,
};

/** The demo's; the narrow one has the MLPs of the stage before it, and weights that lie in cache. */
const demo = {
  ...common,
  model_type: "qwen3" as const,
  max_position_embeddings: 1024,
  hidden_size: 256,
  num_hidden_layers: 8,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 64,
  intermediate_size: 4096,
  vocab_size: 2048,
};

/** From the models' own config.json. */
export const shapes: Readonly<Record<string, Shape>> = {
  "qwen2.5-0.5b": {
    ...common,
    model_type: "qwen2",
    hidden_size: 896,
    num_hidden_layers: 24,
    num_attention_heads: 14,
    num_key_value_heads: 2,
    head_dim: 64,
    intermediate_size: 4864,
    vocab_size: 151936,
  },
  "qwen2.5-1.5b": {
    ...common,
    model_type: "qwen2",
    hidden_size: 1536,
    num_hidden_layers: 28,
    num_attention_heads: 12,
    num_key_value_heads: 2,
    head_dim: 128,
    intermediate_size: 8960,
    vocab_size: 151936,
  },
  /** 15 GB of weights: for a GPU. */
  "qwen2.5-7b": {
    ...common,
    model_type: "qwen2",
    hidden_size: 3584,
    num_hidden_layers: 28,
    num_attention_heads: 28,
    num_key_value_heads: 4,
    head_dim: 128,
    intermediate_size: 18944,
    vocab_size: 152064,
    tie_word_embeddings: false,
  },
  "qwen3-0.6b": {
    ...common,
    model_type: "qwen3",
    hidden_size: 1024,
    num_hidden_layers: 28,
    num_attention_heads: 16,
    num_key_value_heads: 8,
    head_dim: 128,
    intermediate_size: 3072,
    vocab_size: 151936,
  },
  demo,
  "demo-narrow": { ...demo, intermediate_size: 768 },
  /** For trying the command out. */
  tiny: {
    ...common,
    model_type: "qwen2",
    hidden_size: 128,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 32,
    intermediate_size: 256,
    vocab_size: 1024,
  },
};

interface Entry {
  name: string;
  shape: number[];
  kind: "weight" | "norm" | "bias";
}

function tensorsOf(s: Shape): Entry[] {
  const q = s.num_attention_heads * s.head_dim;
  const kv = s.num_key_value_heads * s.head_dim;
  const out: Entry[] = [];
  const add = (name: string, kind: Entry["kind"], ...shape: number[]) =>
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

/** 65,536 values of N(mean, deviation), as bf16 (Box-Muller over a seeded xorshift32). */
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
 * The folder of a shape's random checkpoint, written on first use: config.json and bf16
 * safetensors, weights and biases of N(0, 0.02), norms of N(1, 0.1). The same bytes everywhere.
 */
export function shapeFolder(name: string, shape: Shape, say: (line: string) => void): string {
  const folder = join(root, ".anabranch", "shapes", name);
  if (existsSync(folder)) return folder;
  const part = `${folder}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part, { recursive: true });
  writeFileSync(
    join(part, "config.json"),
    `${JSON.stringify({ ...shape, hidden_act: "silu", eos_token_id: 0, torch_dtype: "bfloat16" }, null, 2)}\n`,
  );

  const tables = {
    weight: normals(0, 0.02, 1),
    bias: normals(0, 0.02, 2),
    norm: normals(1, 0.1, 3),
  };
  const header: Record<string, unknown> = {};
  let size = 0;
  const tensors = tensorsOf(shape).map((tensor) => {
    const count = tensor.shape.reduce((product, extent) => product * extent, 1);
    header[tensor.name] = {
      dtype: "BF16",
      shape: tensor.shape,
      data_offsets: [size, size + 2 * count],
    };
    size += 2 * count;
    return { ...tensor, count };
  });
  say(`writing ${folder} (${(size / 1e6).toFixed(0)} MB of random weights, once)`);
  const text = JSON.stringify(header);
  const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));

  const file = openSync(join(part, "model.safetensors"), "w");
  writeSync(file, length);
  writeSync(file, padded);
  const chunk = new Uint16Array(1 << 21);
  let state = 0x9e3779b9;
  let written = 0;
  let told = 0;
  for (const { kind, count } of tensors) {
    const table = tables[kind];
    for (let left = count; left > 0; left -= chunk.length) {
      const n = Math.min(left, chunk.length);
      for (let i = 0; i < n; i++) {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        chunk[i] = table[(state >>> 8) & 0xffff] ?? 0;
      }
      writeSync(file, chunk, 0, 2 * n);
      written += 2 * n;
      if (written - told >= 250e6) {
        told = written;
        say(`  ${((100 * written) / size).toFixed(0)}%`);
      }
    }
  }
  closeSync(file);
  mkdirSync(dirname(folder), { recursive: true });
  renameSync(part, folder);
  return folder;
}
