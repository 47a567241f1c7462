// Matrix products over packed weights.
// Part of each copy of kernels.cpp, and of nothing else.
#pragma once

#include <algorithm>
#include <cstring>

#include "../numbers.h"
#include "kernels.h"
#include "vectors.h"

namespace anabranch {
namespace {

// A strip holds 2W output columns. Per k: fp32 as two vectors; bf16 as one vector of words, column
// j in the low half of word j and column j + W in the high half, so that a shift and a mask widen.

constexpr int kStrip = 2 * W;

struct F32Weights {
  static constexpr size_t step = kStrip * 4;  // bytes per k
  static void load_pair(const std::byte* at, Vec& low, Vec& high) {
    low = load<Vec>(at);
    high = load<Vec>(at + W * 4);
  }
};

#if !defined(ANABRANCH_DOT)
struct Bf16Weights {
  static constexpr size_t step = kStrip * 2;
  static void load_pair(const std::byte* at, Vec& low, Vec& high) {
    const Bits words = load<Bits>(at);
    low = reinterpret_cast<Vec>(words << 16);
    high = reinterpret_cast<Vec>(words & 0xffff0000u);
  }
};
#endif

#if defined(ANABRANCH_DOT)

/// Two vectors of words per pair of k, a column's two bf16 weights in one word.
struct DotWeights {
  static constexpr size_t step = kStrip * 4;  // bytes per pair of k
  static void pack(const float* rows, int k, std::byte* out) {
    for (int i = 0; i < k; i += 2) {
      for (int j = 0; j < kStrip; ++j) {
        const float* at = rows + static_cast<size_t>(j) * k + i;
        const std::uint32_t word =
            to_bf16(at[0]) | static_cast<std::uint32_t>(i + 1 < k ? to_bf16(at[1]) : 0) << 16;
        std::memcpy(out + i / 2 * step + j * 4, &word, 4);
      }
    }
  }
};

/// acc + the dot product of two bf16 pairs a word.
inline Vec dot(Vec acc, Bits a, Bits b) {
#if defined(__AVX512BF16__)
  return reinterpret_cast<Vec>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(acc),
                                                reinterpret_cast<__m512bh>(a),
                                                reinterpret_cast<__m512bh>(b)));
#else
  const Bits high = splat_bits(0xffff0000u);
  acc = fma(reinterpret_cast<Vec>(a << 16), reinterpret_cast<Vec>(b << 16), acc);
  return fma(reinterpret_cast<Vec>(a & high), reinterpret_cast<Vec>(b & high), acc);
#endif
}

#endif

void pack(WeightType type, const float* rows, int k, std::byte* out) {
#if defined(ANABRANCH_DOT)
  if (type == WeightType::kBF16) return DotWeights::pack(rows, k, out);
#endif
  for (int i = 0; i < k; ++i) {
    for (int j = 0; j < W; ++j) {
      const float low = rows[static_cast<size_t>(j) * k + i];
      const float high = rows[static_cast<size_t>(j + W) * k + i];
      if (type == WeightType::kF32) {
        std::memcpy(out + i * F32Weights::step + j * 4, &low, 4);
        std::memcpy(out + i * F32Weights::step + (j + W) * 4, &high, 4);
      } else {
        // A word for each of the strip's column pairs.
        const std::uint32_t word =
            to_bf16(low) | static_cast<std::uint32_t>(to_bf16(high)) << 16;
        std::memcpy(out + static_cast<size_t>(i) * kStrip * 2 + j * 4, &word, 4);
      }
    }
  }
}

/// Writes, or adds, one row's sums of one strip.
inline void finish(const Gemm& g, int row, int strip, Vec low, Vec high) {
  const int column = strip * kStrip;
  float* out = g.out + row * g.ldo + column;
  float values[kStrip];
  store(values, low);
  store(values + W, high);
  const int width = std::min(kStrip, g.n - column);
  if (g.accumulate) {
    for (int j = 0; j < width; ++j) out[j] += values[j];
  } else {
    for (int j = 0; j < width; ++j) out[j] = values[j];
  }
}

/// Bytes that weights are asked for ahead of their use; the next strip follows this one. What the
/// processor fetches by itself leaves a third of the bandwidth unused once rows keep it busy.
constexpr size_t kPrefetch = 2048;

/// M rows by S strips, held in registers over all of K.
template <class Weights, int M, int S>
void tile(const Gemm& g, int row, int strip) {
  Vec acc[M][S][2];
  for (auto& by_strip : acc) {
    for (auto& pair : by_strip) pair[0] = pair[1] = splat(0.0f);
  }
  const size_t stride = Weights::step * static_cast<size_t>(g.k + g.k % 2);  // as strip_bytes pads
  const std::byte* w = g.w + stride * static_cast<size_t>(strip);
  const float* x = g.x + row * g.ldx;
  for (int i = 0; i < g.k; ++i) {
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) {
      Vec low, high;
      const std::byte* at = w + s * stride + static_cast<size_t>(i) * Weights::step;
      __builtin_prefetch(at + kPrefetch);
      Weights::load_pair(at, low, high);
      // One input at a time: beside the sums, all M of them would not fit 16 registers.
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) {
        const Vec in = splat(x[m * g.ldx + i]);
        acc[m][s][0] = fma(in, low, acc[m][s][0]);
        acc[m][s][1] = fma(in, high, acc[m][s][1]);
      }
    }
  }
  for (int m = 0; m < M; ++m) {
    for (int s = 0; s < S; ++s) finish(g, row + m, strip + s, acc[m][s][0], acc[m][s][1]);
  }
}

#if defined(ANABRANCH_DOT)

/// The same for pairs of bf16: `x` holds this panel's rows as words, [rows, (k + 1) / 2].
template <int M, int S>
void dot_tile(const Gemm& g, const std::uint32_t* x, int row, int strip) {
  Vec acc[M][S][2];
  for (auto& by_strip : acc) {
    for (auto& pair : by_strip) pair[0] = pair[1] = splat(0.0f);
  }
  const int pairs = (g.k + 1) / 2;
  const size_t stride = DotWeights::step * static_cast<size_t>(pairs);
  const std::byte* w = g.w + stride * static_cast<size_t>(strip);
  for (int i = 0; i < pairs; ++i) {
    Bits in[M];
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) in[m] = splat_bits(x[static_cast<size_t>(m) * pairs + i]);
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) {
      const std::byte* at = w + s * stride + static_cast<size_t>(i) * DotWeights::step;
      const Bits low = load<Bits>(at);
      const Bits high = load<Bits>(at + W * 4);
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) {
        acc[m][s][0] = dot(acc[m][s][0], in[m], low);
        acc[m][s][1] = dot(acc[m][s][1], in[m], high);
      }
    }
  }
  for (int m = 0; m < M; ++m) {
    for (int s = 0; s < S; ++s) finish(g, row + m, strip + s, acc[m][s][0], acc[m][s][1]);
  }
}

/// Rows a tile holds: 32 vector registers take 8 rows by two accumulators and their inputs.
constexpr int kDotRows = 8;

template <int S>
void dot_rows(const Gemm& g, const std::uint32_t* x, int row, int rows, int strip) {
  switch (rows) {
    case 1: return dot_tile<1, S>(g, x, row, strip);
    case 2: return dot_tile<2, S>(g, x, row, strip);
    case 3: return dot_tile<3, S>(g, x, row, strip);
    case 4: return dot_tile<4, S>(g, x, row, strip);
    case 5: return dot_tile<5, S>(g, x, row, strip);
    case 6: return dot_tile<6, S>(g, x, row, strip);
    case 7: return dot_tile<7, S>(g, x, row, strip);
    default: return dot_tile<8, S>(g, x, row, strip);
  }
}

void gemm_dot(const Gemm& g) {
  const int pairs = (g.k + 1) / 2;
  for (int panel = 0; panel < g.m; panel += kPanelRows) {
    const int end = std::min(g.m, panel + kPanelRows);
    for (int row = panel; row < end; ++row) {
      const float* x = g.x + row * g.ldx;
      std::uint32_t* out = g.words + static_cast<size_t>(row - panel) * pairs;
      for (int i = 0; i < g.k / 2; ++i) {
        out[i] = to_bf16(x[2 * i]) | static_cast<std::uint32_t>(to_bf16(x[2 * i + 1])) << 16;
      }
      if (g.k % 2) out[pairs - 1] = to_bf16(x[g.k - 1]);
    }
    const auto at = [&](int row) { return g.words + static_cast<size_t>(row - panel) * pairs; };
    int strip = g.first;
    if (end - panel <= 4) {
      for (; strip + 2 <= g.last; strip += 2) dot_rows<2>(g, at(panel), panel, end - panel, strip);
    }
    for (; strip < g.last; ++strip) {
      for (int row = panel; row < end; row += kDotRows) {
        dot_rows<1>(g, at(row), row, std::min(kDotRows, end - row), strip);
      }
    }
  }
}

#endif

/// Rows whose sums, two vectors each, fit the registers beside two of weights and one input.
#if defined(__AVX512F__)
constexpr int kTileRows = 12;
#else
constexpr int kTileRows = 6;
#endif

/// Several strips at once while rows are few, so that enough sums are under way to hide latency.
template <class Weights, int M, int S>
void strips(const Gemm& g) {
  int strip = g.first;
  for (; strip + S <= g.last; strip += S) tile<Weights, M, S>(g, 0, strip);
  for (; strip < g.last; ++strip) tile<Weights, M, 1>(g, 0, strip);
}

template <class Weights, int M = kTileRows>
void tile_of(const Gemm& g, int row, int rows, int strip) {
  if constexpr (M > 1) {
    if (rows < M) return tile_of<Weights, M - 1>(g, row, rows, strip);
  }
  tile<Weights, M, 1>(g, row, strip);
}

template <class Weights>
void gemm_of(const Gemm& g) {
  if (g.m == 1) return strips<Weights, 1, 4>(g);
  if (g.m == 2) return strips<Weights, 2, 2>(g);
  // A strip is read from memory once and then from cache for all its row tiles; rows are walked in
  // panels that stay in cache while the strips pass.
  for (int panel = 0; panel < g.m; panel += kPanelRows) {
    const int rows = std::min(g.m - panel, kPanelRows);
    const int tiles = (rows + kTileRows - 1) / kTileRows;  // of about equal size
    for (int strip = g.first; strip < g.last; ++strip) {
      for (int t = 0; t < tiles; ++t) {
        const int first = rows * t / tiles;
        tile_of<Weights>(g, panel + first, rows * (t + 1) / tiles - first, strip);
      }
    }
  }
}

void gemm(WeightType type, const Gemm& g) {
  if (type == WeightType::kF32) return gemm_of<F32Weights>(g);
#if defined(ANABRANCH_DOT)
  gemm_dot(g);
#else
  gemm_of<Bf16Weights>(g);
#endif
}

}  // namespace
}  // namespace anabranch
