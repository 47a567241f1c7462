// The shapes of known models.
import type { Dtype } from "@anabranch/native";
import { oneOf } from "@anabranch/shared/cli/options.ts";

/** Fields of a Hugging Face config.json. */
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

/** The demo model. Its narrow variant has the MLPs of an earlier training stage and fits in cache. */
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

const tiny = {
  ...common,
  model_type: "qwen2" as const,
  hidden_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 32,
  intermediate_size: 256,
  vocab_size: 1024,
};

/** By name, as in each model's own config.json. */
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
  /** 15 GB of weights, so it needs a GPU. */
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
  /** For a quick trial of a command. */
  tiny,
  /** With the vocabulary of models/small. */
  "tiny-2048": { ...tiny, vocab_size: 2048 },
};

export const shapeNames = Object.keys(shapes);

/** @throws UsageError if --shape names no known model */
export function shapeOf(name: string): Shape {
  return shapes[oneOf("shape", name, shapeNames)] as Shape;
}

/** Bytes of K and V that one token takes in all layers. */
export const kvBytesPerToken = (shape: Shape, dtype: Dtype): number =>
  2 *
  shape.num_hidden_layers *
  shape.num_key_value_heads *
  shape.head_dim *
  (dtype === "fp32" ? 4 : 2);

/** A prompt of `count` tokens, the same each time. */
export const fixedPrompt = (count: number, vocabulary: number): number[] =>
  Array.from({ length: count }, (_, i) => (i * 7919 + 13) % vocabulary);
