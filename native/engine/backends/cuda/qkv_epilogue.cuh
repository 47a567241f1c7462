// Parts of the QKV epilogue that its own kernel (rows.cu) and the GEMM with the fused one (gemm.cu)
// share: RoPE, and where q, K and V are stored.
#pragma once

#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {

/// Index, within a q or K head of qkv, of value d of its first half, and the distance from there to
/// its RoPE partner, value dim / 2 + d.
__device__ inline int index_in_head(const QkvEpilogue& p, int d) {
  return p.halves_interleaved ? d / kHalfPanel * kPanel + d % kHalfPanel : d;
}
__device__ inline int partner_distance(const QkvEpilogue& p) {
  return p.halves_interleaved ? kHalfPanel : p.dim / 2;
}

/// RoPE of values d and dim / 2 + d of all heads of one row.
struct RopeRotation {
  float cosine = 1, sine = 0;

  RopeRotation() = default;
  __device__ RopeRotation(const QkvEpilogue& p, int row, int d) {
    const float* const entry = p.rope_table + (static_cast<size_t>(row) * (p.dim / 2) + d) * 2;
    cosine = entry[0];
    sine = entry[1];
  }
  /// Rotates the pair in place; a query is also scaled.
  __device__ void apply(const QkvEpilogue& p, bool query, float& low, float& high) const {
    const float scale = query ? p.query_scale : 1.0f;
    const float c = cosine * scale, s = sine * scale, old_low = low;
    low = fmaf(low, c, -(high * s));
    high = fmaf(high, c, old_low * s);
  }
};

__device__ inline size_t padded_dim(const QkvEpilogue& p) { return round_up(p.dim, kWarpK); }

/// Index of a row's block and KV head among the heads of all blocks.
__device__ inline size_t kv_block_index(const QkvEpilogue& p, const StepRow& row, int kv_head) {
  return static_cast<size_t>(row.block) * p.kv_heads + kv_head;
}
/// Index of a row's token and KV head; also that of its scale in fp8.
__device__ inline size_t kv_token_index(const QkvEpilogue& p, const StepRow& row, int kv_head) {
  return kv_block_index(p, row, kv_head) * kBlockTokens + row.offset;
}

/// Index of value 0 of a head in q, K or V. In q and K the other values follow it; in V they are
/// kBlockTokens apart, and the token's offset is still to be added.
__device__ inline size_t query_index(const QkvEpilogue& p, int row, int head) {
  return (static_cast<size_t>(row) * p.heads + head) * padded_dim(p);
}
__device__ inline size_t key_index(const QkvEpilogue& p, const StepRow& row, int kv_head) {
  return kv_token_index(p, row, kv_head) * padded_dim(p);
}
__device__ inline size_t value_index(const QkvEpilogue& p, const StepRow& row, int kv_head) {
  return kv_block_index(p, row, kv_head) * padded_dim(p) * kBlockTokens;
}

}  // namespace anabranch::ANABRANCH_CUDA
