// Which tensors a model's checkpoint must have: their names and shapes. Both backends
// load from this list, and a new model family is described here.
#pragma once

#include <optional>
#include <vector>

#include "model/config.h"
#include "model/tensor.h"

namespace anabranch {

/// A linear layer y = x · Wᵀ + b.
struct LinearSpec {
  TensorSpec weight;               // [n, k]
  std::optional<TensorSpec> bias;  // [n]

  int n() const { return static_cast<int>(weight.shape[0]); }
  int k() const { return static_cast<int>(weight.shape[1]); }
};

struct LayerManifest {
  TensorSpec attention_norm, mlp_norm;       // [hidden]
  std::optional<TensorSpec> q_norm, k_norm;  // [head_dim]
  LinearSpec q, k, v;                        // [heads or kv_heads · head_dim, hidden]
  LinearSpec output;                         // [hidden, heads · head_dim]
  LinearSpec gate, up;                       // [intermediate, hidden]
  LinearSpec down;                           // [hidden, intermediate]
};

struct TensorManifest {
  TensorSpec embedding;  // [vocabulary, hidden]
  std::vector<LayerManifest> layers;
  TensorSpec final_norm;  // [hidden]
  LinearSpec head;        // [vocabulary, hidden]; with tied embeddings, the embedding

  /// All tensors, each once, in the order of the forward pass.
  std::vector<TensorSpec> tensors() const;
};

TensorManifest tensor_manifest(const ModelConfig& config);

}  // namespace anabranch
