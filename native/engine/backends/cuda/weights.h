// The model's weights in device memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backends/cuda/kernels.h"
#include "backends/cuda/memory.h"
#include "model/config.h"
#include "model/checkpoint.h"

namespace anabranch::ANABRANCH_CUDA {

/// A linear layer y = x · wᵀ + bias, or several with the same input packed into one.
struct PackedLinear {
  WeightType type = WeightType::kBF16;
  int n = 0;                // outputs
  int k = 0;                // inputs, padded to kQuantGroup
  Array<std::byte> values;  // as PackedWeights::values
  Array<Bf16> scales;       // as PackedWeights::scales
  FourBitFormat four_bit;   // of int4
  Array<float> bias;        // [n], or empty

  PackedWeights weights() const { return {type, values.data(), scales.data(), n, k, four_bit}; }
  size_t bytes() const { return values.count() + scales.count() * sizeof(Bf16); }
};

/// Norms that the model does not have are empty.
struct Layer {
  Array<float> attention_norm, attention_post_norm;  // [hidden]
  PackedLinear qkv;                                  // [(heads + 2 · kv_heads) · head_dim, hidden]
  Array<float> q_norm, k_norm;                       // as QkNorm says
  PackedLinear output;                               // [hidden, heads · head_dim]
  Array<float> mlp_norm, mlp_post_norm;              // [hidden]
  PackedLinear gate_up;  // [2 · intermediate, hidden], alternating by kHalfPanel
  PackedLinear down;     // [hidden, intermediate]
  LayerAttention attention;
  KvCacheLayer kv;  // allocated by the backend
};

struct ModelWeights {
  PackedLinear embedding;  // [vocabulary, hidden], bf16 or int8
  std::vector<Layer> layers;
  Array<float> final_norm;           // [hidden]
  PackedLinear separate_head;        // [vocabulary, hidden]; empty if the embedding is the head
  Array<float> inverse_frequency;    // [ropes, head_dim / 2]
  Array<float> rope_magnitude;       // [ropes, head_dim / 2]
  std::uint64_t bytes_per_step = 0;  // that every step reads: all but a separate embedding

  const PackedLinear& head() const { return separate_head.n > 0 ? separate_head : embedding; }
};

/// Where outputs of a layer are packed whose panels hold parts of two: those of part 0 or 1 of gate
/// and up, and those of heads of `head_dim` whose halves alternate.
inline int gated_place(int output, int part) {
  return output / kHalfPanel * kPanel + part * kHalfPanel + output % kHalfPanel;
}
inline int interleaved_place(int output, int head_dim) {
  const int half = output % head_dim / (head_dim / 2), d = output % (head_dim / 2);
  return output / head_dim * head_dim + gated_place(d, half);
}

/// Stores row `row` of w, read in w.four_bit, into `values` [row_bytes(w.type, w.k)] and into the
/// places of its scales among `scales`. All of it must be zero before.
void pack_four_bit_row(const FourBitRow& from, int row, const PackedWeights& w,
                       std::uint32_t* values, std::uint16_t* scales);
/// 16-bit numbers in w.scales.
size_t count_scales(const PackedWeights& w);

/// Loads a checkpoint, converting linear layers to `type`. `interleave_halves` packs the heads of q
/// and K for QkvEpilogue::halves_interleaved.
ModelWeights load_weights(const ModelConfig& config, const Checkpoint& checkpoint, WeightType type,
                          bool interleave_halves);

}  // namespace anabranch::ANABRANCH_CUDA
