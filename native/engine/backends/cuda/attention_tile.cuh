// What both attention kernels share: a warp's products of sixteen queries with one block of KV, for
// every head size and KV format.
#pragma once

#include <type_traits>

#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {

/// Max and sum over the four lanes that hold the tokens of one query.
__device__ inline float quad_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 2));
}
__device__ inline float quad_sum(float value) {
  value += __shfl_xor_sync(0xffffffffu, value, 1);
  return value + __shfl_xor_sync(0xffffffffu, value, 2);
}

// ---- how K and V are read ----------------------------------------------------------------------

struct Bf16Kv {
  using Element = Bf16;

  using Eight = Words4;
  static __device__ Eight load_eight(const Bf16* at) { return load16(at); }
  static __device__ Words4 widened(const Eight& values) { return values; }
  static __device__ Words2 load_four(const Bf16* at) { return load8(at); }
  static __device__ void scale(float (&)[4], const float*, size_t) {}
};

struct Fp8Kv {
  using Element = std::uint8_t;

  using Eight = Words2;
  static __device__ Eight load_eight(const std::uint8_t* at) { return load8(at); }
  static __device__ Words4 widened(const Eight& values) {
    return widen8<Fp8>(values.word[0], values.word[1]);
  }
  static __device__ Words2 load_four(const std::uint8_t* at) {
    Words2 out;
    Fp8::widen(*reinterpret_cast<const std::uint32_t*>(at), out.word[0], out.word[1]);
    return out;
  }
  /// Multiplies the values of four tokens, from `token` on, by their scales. 0 stays 0, whatever
  /// the scale of a token that is not written yet may hold.
  static __device__ void scale(float (&values)[4], const float* scales, size_t token) {
    const Words4 bits = load16(scales + token);
#pragma unroll
    for (int i = 0; i < 4; ++i)
      values[i] = values[i] == 0 ? 0.0f : values[i] * as_float(bits.word[i]);
  }
};

// ---- a warp's tile: sixteen queries by one block of sixteen tokens -----------------------------

/// What a warp has accumulated of its tile so far: softmax-weighted V and the sum of the weights,
/// relative to the max score. Lane 4·g + t holds queries g and g + 8; its weight sums are those of
/// its own tokens.
template <int Chunks>
struct TileSums {
  float out[Chunks * kWarpK / 8][4] = {};
  float max_score[2] = {minus_infinity(), minus_infinity()}, weight_sum[2] = {0, 0};
};

/// One warp's queries, and their products with single KV blocks of one KV head. A padded head has
/// Chunks · kWarpK values.
///
/// Lane 4·g + t holds the scores of queries g and g + 8 with tokens 4t … 4t+3 of a block. For this,
/// K is read in permuted token order: columns 2t and 2t+1 of the first product are tokens 4t and
/// 4t+1, those of the second 4t+2 and 4t+3. The product with V then takes the scores from the
/// registers they are in, and V is read with 8-byte loads.
template <int Chunks, class Format>
struct WarpTile {
  using Element = typename Format::Element;
  static constexpr int kDim = Chunks * kWarpK;
  static constexpr size_t kBlockSize = static_cast<size_t>(kBlockTokens) * kDim;  // of one head

  const Attention& p;
  int kv_head, g, t;
  Words4 q[Chunks][2];

  __device__ WarpTile(const Attention& p, int kv_head, int lane)
      : p(p), kv_head(kv_head), g(lane / 4), t(lane % 4) {}

  /// Loads query g + 8 · half of the tile: `head` of the GQA group, of `row`.
  __device__ void load_query(int half, int row, int head) {
    const size_t index =
        static_cast<size_t>(row) * p.heads + kv_head * (p.heads / p.kv_heads) + head;
#pragma unroll
    for (int c = 0; c < Chunks; ++c) q[c][half] = load16(p.q + index * kDim + c * kWarpK + 8 * t);
  }

  /// Index of this head's part of a block.
  __device__ size_t head_index(int block) const {
    return static_cast<size_t>(block) * p.kv_heads + kv_head;
  }

  /// Fetches a block's K and V into L2.
  __device__ void prefetch(int block) const {
    for (const void* cache : {p.kv.k, p.kv.v}) {
      prefetch_l2(static_cast<const Element*>(cache) + head_index(block) * kBlockSize,
                  kBlockSize * sizeof(Element));
    }
  }

  /// This lane's fragments of a block's K, for the two products.
  struct Keys {
    typename Format::Eight first[Chunks], second[Chunks];
  };
  __device__ Keys load_keys(int block) const {
    const Element* k = static_cast<const Element*>(p.kv.k) + head_index(block) * kBlockSize +
                       (g / 2 * 4 + g % 2) * kDim + 8 * t;
    Keys out;
#pragma unroll
    for (int c = 0; c < Chunks; ++c) {
      out.first[c] = Format::load_eight(k + c * kWarpK);
      out.second[c] = Format::load_eight(k + 2 * kDim + c * kWarpK);
    }
    return out;
  }

  /// scores = q · K of a block: [query half][token].
  __device__ void compute_scores(int block, const Keys& k, float (&scores)[2][4]) const {
    float first[4] = {}, second[4] = {};
#pragma unroll
    for (int c = 0; c < Chunks; ++c) {
      mma_k32(first, q[c][0], q[c][1], Format::widened(k.first[c]));
      mma_k32(second, q[c][0], q[c][1], Format::widened(k.second[c]));
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      scores[i / 2][i % 2] = first[i];
      scores[i / 2][2 + i % 2] = second[i];
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      Format::scale(scores[half], p.kv.k_scales, head_index(block) * kBlockTokens + 4 * t);
    }
  }

  /// Adds `Blocks` blocks to the sums: those of tokens first_token, first_token + step, … of a
  /// range that is stored in `blocks`. The tile's queries see tokens [earliest, longest) of it at
  /// most; query half h sees a token if visible(h, token).
  template <int Blocks, class Visible>
  __device__ void attend(TileSums<Chunks>& sums, int first_token, int step, int earliest,
                         int longest, const int* blocks, Visible visible) const;

  /// out += weights · V of the block's first `valid_tokens` tokens. V of the others is masked: it
  /// may be uninitialised, and a weight of 0 times NaN is NaN.
  __device__ void add_values(int block, float (&weights)[2][4], int valid_tokens,
                             float (&out)[kDim / 8][4]) const {
    const int token = 4 * t;
    const Element* v = static_cast<const Element*>(p.kv.v) + head_index(block) * kBlockSize +
                       g * kBlockTokens + token;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      Format::scale(weights[half], p.kv.v_scales, head_index(block) * kBlockTokens + token);
    }
    const std::uint32_t a0 = narrow2(weights[0][0], weights[0][1]),
                        a1 = narrow2(weights[1][0], weights[1][1]);
    const std::uint32_t a2 = narrow2(weights[0][2], weights[0][3]),
                        a3 = narrow2(weights[1][2], weights[1][3]);
    const auto add = [&](std::uint32_t mask0, std::uint32_t mask1) {
#pragma unroll
      for (int d = 0; d < kDim / 8; ++d) {
        const Words2 four = Format::load_four(v + d * 8 * kBlockTokens);
        mma(out[d], a0, a1, a2, a3, four.word[0] & mask0, four.word[1] & mask1);
      }
    };
    if (valid_tokens >= kBlockTokens) return add(~0u, ~0u);
    add((token < valid_tokens ? 0xffffu : 0) | (token + 1 < valid_tokens ? 0xffff0000u : 0),
        (token + 2 < valid_tokens ? 0xffffu : 0) | (token + 3 < valid_tokens ? 0xffff0000u : 0));
  }
};

template <int Chunks, class Format>
template <int Blocks, class Visible>
__device__ void WarpTile<Chunks, Format>::attend(TileSums<Chunks>& sums, int first_token, int step,
                                                 int earliest, int longest, const int* blocks,
                                                 Visible visible) const {
  const auto token_of = [&](int b) { return first_token + b * step; };
  const auto seen = [&](int b) {
    return token_of(b) < longest && token_of(b) + kBlockTokens > earliest;
  };
  float scores[Blocks][2][4];  // [block][query half][token]
  float new_max[2] = {sums.max_score[0], sums.max_score[1]};
#pragma unroll
  for (int b = 0; b < Blocks; ++b) {
    // For a block that no query sees, the first seen one is a valid substitute.
    const int block = blocks[(seen(b) ? token_of(b) : earliest) / kBlockTokens];
    float block_scores[2][4];
    compute_scores(block, load_keys(block), block_scores);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        scores[b][half][i] =
            visible(half, token_of(b) + 4 * t + i) ? block_scores[half][i] : minus_infinity();
        new_max[half] = fmaxf(new_max[half], scores[b][half][i]);
      }
    }
  }

  // Online softmax: rescale what is accumulated to the new max. Until a query has seen a token, its
  // max is that of nothing, and 0 takes its place.
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    new_max[half] = quad_max(new_max[half]);
    const float base = new_max[half] == minus_infinity() ? 0.0f : new_max[half];
    const float rescale = expf(sums.max_score[half] - base);
    sums.max_score[half] = new_max[half];
    sums.weight_sum[half] *= rescale;
#pragma unroll
    for (int d = 0; d < kDim / 8; ++d) {
      sums.out[d][2 * half] *= rescale;
      sums.out[d][2 * half + 1] *= rescale;
    }
#pragma unroll
    for (int b = 0; b < Blocks; ++b) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float& score = scores[b][half][i];
        score = fast_exp(score - base);
        sums.weight_sum[half] += score;
      }
    }
  }

  // Weighted V.
#pragma unroll
  for (int b = 0; b < Blocks; ++b) {
    if (seen(b)) {
      add_values(blocks[token_of(b) / kBlockTokens], scores[b], longest - token_of(b), sums.out);
    }
  }
}

/// The max, and the min, of both values over the lanes that hold a tile's queries.
__device__ inline int tile_max(const int (&values)[2]) {
  int longest = values[0] > values[1] ? values[0] : values[1];
#pragma unroll
  for (int step = 4; step < kWarp; step *= 2) {
    const int other = __shfl_xor_sync(0xffffffffu, longest, step);
    longest = other > longest ? other : longest;
  }
  return longest;
}

__device__ inline int tile_min(const int (&values)[2]) {
  const int negated[2] = {-values[0], -values[1]};
  return -tile_max(negated);
}

/// start(chunks, format) with the template arguments that fit head size and KV format.
template <class Format, class Start>
void dispatch_chunks(const Attention& p, Start start) {
  const auto with = [&](auto chunks) { start(chunks, Format{}); };
  switch ((p.dim + kWarpK - 1) / kWarpK) {
    case 1:
      return with(std::integral_constant<int, 1>{});
    case 2:
      return with(std::integral_constant<int, 2>{});
    case 3:
      return with(std::integral_constant<int, 3>{});
    case 4:
      return with(std::integral_constant<int, 4>{});
    default:
      return with(std::integral_constant<int, 8>{});
  }
}
template <class Start>
void dispatch(const Attention& p, Start start) {
  if (p.kv.k_scales)
    dispatch_chunks<Fp8Kv>(p, start);
  else
    dispatch_chunks<Bf16Kv>(p, start);
}

}  // namespace anabranch::ANABRANCH_CUDA
