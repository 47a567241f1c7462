// What q and K of a row become, and where they and V stand.
#pragma once

#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {

/// Where in a head of qkv, paired or not, value d of its first half stands, and how far on its partner does.
__device__ inline int place_in_head(const Heads& p, int d) { return p.paired ? d / kHalf * kStrip + d % kHalf : d; }
__device__ inline int partner_of(const Heads& p) { return p.paired ? kHalf : p.dim / 2; }

/// RoPE of values d and dim / 2 + d of a row's heads.
struct Turn {
  float cosine = 1, sine = 0;

  Turn() = default;
  __device__ Turn(const Heads& p, int row, int d) {
    const float* const by = p.turns + (static_cast<size_t>(row) * (p.dim / 2) + d) * 2;
    cosine = by[0];
    sine = by[1];
  }
  /// A query's are scaled for attention.
  __device__ void apply(const Heads& p, bool query, float& low, float& high) const {
    const float end = query ? 1.0f / sqrtf(static_cast<float>(p.dim)) : 1.0f;
    const float c = cosine * end, s = sine * end, was = low;
    low = fmaf(low, c, -(high * s));
    high = fmaf(high, c, was * s);
  }
};

__device__ inline size_t padded_dim(const Heads& p) { return padded(p.dim, kDepth); }

/// The place of a row's head among all heads of blocks, and of its token's scale in fp8.
__device__ inline size_t block_of(const Heads& p, const StepRow& row, int kv_head) {
  return static_cast<size_t>(row.block) * p.kv_heads + kv_head;
}
__device__ inline size_t token_of(const Heads& p, const StepRow& row, int kv_head) {
  return block_of(p, row, kv_head) * kBlockTokens + row.offset;
}
/// Where value 0 of a head stands, in values; K's others follow it, V's are kBlockTokens apart.
__device__ inline size_t query_at(const Heads& p, int row, int head) {
  return (static_cast<size_t>(row) * p.heads + head) * padded_dim(p);
}
__device__ inline size_t key_at(const Heads& p, const StepRow& row, int kv_head) {
  return token_of(p, row, kv_head) * padded_dim(p);
}
__device__ inline size_t value_at(const Heads& p, const StepRow& row, int kv_head) {
  return block_of(p, row, kv_head) * padded_dim(p) * kBlockTokens;
}

}  // namespace anabranch::ANABRANCH_CUDA
