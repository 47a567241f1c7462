// The weight formats of the GEMM kernels, and packing into them.
// Included by kernels.cpp only.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "number_formats.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/vectors.h"

namespace anabranch {
namespace {

// A weight format (F32Weights, …) defines one step along K: `depth` values of k, `step` bytes of a
// panel, and one Input per row. Products accumulate in Sum. A chunk has `chunk` values of k and
// begins with `head` bytes. Weights are prefetched `ahead` bytes before their use: into L1 for up
// to `near` rows, into L2 for more, whose inputs need L1.

constexpr int kPanelWidth = 2 * W;

#if defined(ANABRANCH_DOT)
constexpr bool kPairs = true;
#else
constexpr bool kPairs = false;
#endif

/// Rounds one row's columns of a panel to pairs of bf16.
inline void store_pairs(std::uint32_t* pairs, const float* x) {
#if defined(__AVX512BF16__)
  const auto both = _mm512_cvtne2ps_pbh(load<__m512>(x + W), load<__m512>(x));
  std::memcpy(pairs, &both, sizeof both);
#else
  for (int i = 0; i < kPanelWidth / 2; ++i) {
    pairs[i] = to_bf16(x[2 * i]) | static_cast<std::uint32_t>(to_bf16(x[2 * i + 1])) << 16;
  }
#endif
}

/// fp32: two vectors per k.
struct F32Weights {
  static constexpr auto type = WeightType::kF32;
  using Input = float;
  using Sum = Vec;
  using Wide = Vec;
  static constexpr int depth = 1, chunk = 128, near = 4;
  static constexpr size_t step = kPanelWidth * 4, head = 0, ahead = 8192;
  static void load_pair(const std::byte* at, Vec& low, Vec& high) {
    low = load<Vec>(at);
    high = load<Vec>(at + W * 4);
  }
  static Vec spread(float x) { return splat(x); }
  static Vec multiply(Vec sum, Vec x, Vec w) { return fma(x, w, sum); }
};

/// bf16: one vector of words per k. Column j is the low half of word j, column j + W the high half,
/// so that a shift and a mask convert them to fp32.
struct Bf16Weights : F32Weights {
  static constexpr auto type = WeightType::kBF16;
  static constexpr int chunk = 256;
  static constexpr size_t step = kPanelWidth * 2;
  static void load_pair(const std::byte* at, Vec& low, Vec& high) {
    const Bits words = load<Bits>(at);
    low = reinterpret_cast<Vec>(words << 16);
    high = reinterpret_cast<Vec>(words & 0xffff0000u);
  }
};

#if defined(ANABRANCH_DOT)
/// bf16 in pairs of k: a column's two weights in one word. Inputs are rounded to bf16, too.
struct DotWeights {
  static constexpr auto type = WeightType::kBF16;
  using Input = std::uint32_t;
  using Sum = Vec;
  using Wide = Bits;
  static constexpr int depth = 2, chunk = 256, near = 4;
  static constexpr size_t step = kPanelWidth * 4, head = 0, ahead = 8192;
  static void load_pair(const std::byte* at, Bits& low, Bits& high) {
    low = load<Bits>(at);
    high = load<Bits>(at + W * 4);
  }
  static void prepare(const float* x, int k, std::uint32_t* words) {
    int i = 0;
    for (; i + kPanelWidth <= k; i += kPanelWidth) store_pairs(words + i / 2, x + i);
    if (i == k) return;
    float rest[kPanelWidth] = {};
    std::uint32_t pairs[kPanelWidth / 2];
    std::copy(x + i, x + k, rest);
    store_pairs(pairs, rest);
    std::copy_n(pairs, (k - i + 1) / 2, words + i / 2);
  }
  static Bits spread(std::uint32_t x) { return splat_bits(x); }
  static Vec multiply(Vec sum, Bits x, Bits w) {
#if defined(__AVX512BF16__)
    return reinterpret_cast<Vec>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum),
                                                  reinterpret_cast<__m512bh>(x),
                                                  reinterpret_cast<__m512bh>(w)));
#else
    const Bits high = splat_bits(0xffff0000u);
    sum = fma(reinterpret_cast<Vec>(x << 16), reinterpret_cast<Vec>(w << 16), sum);
    return fma(reinterpret_cast<Vec>(x & high), reinterpret_cast<Vec>(w & high), sum);
#endif
  }
};
#endif

/// Converts one row to pairs of int16, followed by one scale per group.
void quantize_row(const float* x, int k, std::uint32_t* words) {
  std::uint32_t* scales = words + (k + 1) / 2;
  for (int first = 0; first < k; first += kInt8Group) {
    float part[kInt8Group] = {};
    std::copy(x + first, x + std::min(k, first + kInt8Group), part);
    Vec max = splat(0.0f);
    for (int i = 0; i < kInt8Group; i += W) {
      const Vec v = load<Vec>(part + i);
      const Vec size = v < splat(0.0f) ? -v : v;
      max = size > max ? size : max;
    }
    float lanes[W], largest = 0;
    store(lanes, max);
    for (float lane : lanes) largest = std::max(largest, lane);
    const float inverse = largest > 1e-30f ? 32767.0f / largest : 0.0f;
    for (int i = 0; i < kInt8Group; i += W) {
      store(part + i, load<Vec>(part + i) * splat(inverse) + splat(12582912.0f));
    }
    const int pairs = (std::min(kInt8Group, k - first) + 1) / 2;
    for (int i = 0; i < pairs; ++i) {
      *words++ = (std::bit_cast<std::uint32_t>(part[2 * i]) & 0xffffu) |
                 std::bit_cast<std::uint32_t>(part[2 * i + 1]) << 16;
    }
    *scales++ = std::bit_cast<std::uint32_t>(largest > 1e-30f ? largest / 32767.0f : 0.0f);
  }
}

/// int8 in pairs of k: column j in the low byte and column j + W in the high byte of each int16, so
/// that shifts convert them. Each group begins with its columns' scales. Inputs are pairs of int16
/// with one scale per row and group, which keeps nearly all of their precision. Sums of a group are
/// exact: 128 · 127 · 32767 is far from overflow.
struct Int8Weights {
  static constexpr auto type = WeightType::kInt8;
  using Input = std::uint32_t;
  using Sum = Ints;
  using Wide = Ints;
  static constexpr int depth = 2, chunk = kInt8Group, near = 16;
  static constexpr size_t step = kPanelWidth * 2, ahead = 16384;
  static constexpr size_t head = kPanelWidth * 2;  // bf16 scales
  static void prepare(const float* x, int k, std::uint32_t* words) { quantize_row(x, k, words); }
  static void load_pair(const std::byte* at, Ints& low, Ints& high) {
    const Shorts both = load<Shorts>(at);
    low = reinterpret_cast<Ints>(both << 8 >> 8);
    high = reinterpret_cast<Ints>(both >> 8);
  }
  static Ints spread(std::uint32_t x) { return reinterpret_cast<Ints>(splat_bits(x)); }
  static Ints multiply(Ints sum, Ints x, Ints w) {
#if defined(__AVX512VNNI__)
    return reinterpret_cast<Ints>(_mm512_dpwssd_epi32(reinterpret_cast<__m512i>(sum),
                                                      reinterpret_cast<__m512i>(x),
                                                      reinterpret_cast<__m512i>(w)));
#elif defined(__AVX512BW__)
    return sum + reinterpret_cast<Ints>(
                     _mm512_madd_epi16(reinterpret_cast<__m512i>(x), reinterpret_cast<__m512i>(w)));
#elif defined(__AVX2__) && !defined(ANABRANCH_WIDE)
    return sum + reinterpret_cast<Ints>(
                     _mm256_madd_epi16(reinterpret_cast<__m256i>(x), reinterpret_cast<__m256i>(w)));
#else
    return sum + (x << 16 >> 16) * (w << 16 >> 16) + (x >> 16) * (w >> 16);
#endif
  }
};

// ---- packing -----------------------------------------------------------------------------------

void pack_f32(const float* rows, int k, std::byte* out) {
  for (int i = 0; i < k; ++i) {
    for (int j = 0; j < kPanelWidth; ++j, out += 4) {
      std::memcpy(out, rows + static_cast<size_t>(j) * k + i, 4);
    }
  }
}

void pack_bf16(const float* rows, int k, std::byte* out) {
#if defined(ANABRANCH_DOT)
  for (int i = 0; i < k; i += 2) {
    for (int j = 0; j < kPanelWidth; ++j, out += 4) {
      const float* at = rows + static_cast<size_t>(j) * k + i;
      const std::uint32_t second = i + 1 < k ? to_bf16(at[1]) : 0;
      const std::uint32_t word = to_bf16(at[0]) | second << 16;
      std::memcpy(out, &word, 4);
    }
  }
#else
  for (int i = 0; i < k; ++i) {
    for (int j = 0; j < W; ++j, out += 4) {
      const std::uint32_t high = to_bf16(rows[static_cast<size_t>(j + W) * k + i]);
      const std::uint32_t word = to_bf16(rows[static_cast<size_t>(j) * k + i]) | high << 16;
      std::memcpy(out, &word, 4);
    }
  }
#endif
}

/// The integer nearest to x, |x| < 2^22, in the low bits.
inline std::uint32_t nearest(float x) { return std::bit_cast<std::uint32_t>(x + 12582912.0f); }

void pack_int8(const float* rows, int k, std::byte* out) {
  for (int first = 0; first < k; first += kInt8Group) {
    const int n = std::min(kInt8Group, k - first);
    float inverse[kPanelWidth];
    for (int j = 0; j < kPanelWidth; ++j, out += 2) {
      const float* at = rows + static_cast<size_t>(j) * k + first;
      float max = 0;
      for (int i = 0; i < n; ++i) max = std::max(max, std::abs(at[i]));
      // Values are divided by the scale as stored in bf16, and clamped to 127.
      const std::uint16_t scale = to_bf16(max / 127.0f);
      std::memcpy(out, &scale, 2);
      inverse[j] = from_bf16(scale) > 1e-30f ? 1.0f / from_bf16(scale) : 0.0f;
    }
    for (int i = 0; i < n; i += 2) {
      for (int j = 0; j < W; ++j) {
        for (int value = 0; value < 4; ++value, ++out) {
          const int column = value % 2 ? j + W : j, at = first + i + value / 2;
          const float whole =
              at < k ? rows[static_cast<size_t>(column) * k + at] * inverse[column] : 0;
          *out = static_cast<std::byte>(nearest(std::min(127.0f, std::max(-127.0f, whole))));
        }
      }
    }
  }
}

void pack(WeightType type, const float* rows, int k, std::byte* out) {
  if (type == WeightType::kF32)
    pack_f32(rows, k, out);
  else if (type == WeightType::kBF16)
    pack_bf16(rows, k, out);
  else
    pack_int8(rows, k, out);
}

}  // namespace
}  // namespace anabranch
