// Which tensors a model's checkpoint must have: their names and shapes. Both backends
// load from this list, and a new model family is described here.
#pragma once

#include <optional>
#include <vector>

#include "model/config.h"
#include "model/tensor.h"

namespace anabranch {

/// A linear layer y = x · Wᵀ + b: rows of a stored weight, which other layers may share.
struct LinearSpec {
  TensorSpec weight;               // as stored: [rows, k]
  std::optional<TensorSpec> bias;  // as stored: [rows]
  int outputs = 0;
  int first_row = 0;  // of output 0

  /// Not 0: the layer makes heads of this size, of which RoPE rotates the first rotary_dim values.
  int head_dim = 0;
  int rotary_dim = 0;
  bool interleaved = false;  // stored with the values of a RoPE pair adjacent

  int n() const { return outputs; }
  int k() const { return static_cast<int>(weight.shape[1]); }

  /// The stored row of an output. In our order value i of a head is the RoPE partner of value
  /// head_dim / 2 + i. Attention scores do not depend on the order, if q and K have the same.
  int stored_row(int output) const;
};

struct LayerManifest {
  std::optional<NormSpec> attention_norm, mlp_norm;            // [hidden]
  std::optional<NormSpec> attention_post_norm, mlp_post_norm;  // [hidden]
  std::optional<NormSpec> q_norm, k_norm;                      // as QkNorm says
  LinearSpec q, k, v;   // [heads or kv_heads · head_dim, hidden]
  LinearSpec output;    // [hidden, heads · head_dim]
  LinearSpec gate, up;  // [intermediate, hidden]
  LinearSpec down;      // [hidden, intermediate]
};

struct TensorManifest {
  TensorSpec embedding;  // [vocabulary, hidden]
  std::vector<LayerManifest> layers;
  NormSpec final_norm;  // [hidden]; its scale is the logits'
  LinearSpec head;      // [vocabulary, hidden]; with tied embeddings, the embedding

  /// All tensors, each once, in the order of the forward pass.
  std::vector<TensorSpec> tensors() const;
};

TensorManifest tensor_manifest(const ModelConfig& config);

}  // namespace anabranch
