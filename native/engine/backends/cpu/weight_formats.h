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

// A weight format (F32Weights, …) defines one step along K: `depth` values of k and `step` bytes of
// a panel. Products accumulate in Sum. A chunk has `chunk` values of k. If `grouped`, a step has
// `parts` Inputs per row, each multiplied by one part of the panel's step, a chunk's sums are
// integers, and groups of one or several chunks begin with their columns' scales, of `head` bytes;
// the last chunk is padded if `whole`. Converted inputs lie chunk by chunk, in each row by row, of
// `chunk_words` words each: so a tile's inputs are at constant distances. Weights are prefetched
// `ahead` bytes before their use: into L1 for up to `near` rows, into L2 for more, whose inputs
// need L1. A chunk's sums begin at start(), of what is behind its inputs.

constexpr int kPanelWidth = 2 * W;

// Rows of a tile. For each one, registers hold two vectors of sums. Beside them are two of weights,
// an input and a product, and for four bits a constant. The sums of all groups, which four bits
// have besides those of the group, are stored in between where there is no room.
#if defined(__AVX512F__) || defined(ANABRANCH_WIDE)
constexpr int kTileRows = 12, kFourBitTileRows = 8;
#else
constexpr int kTileRows = 6, kFourBitTileRows = 4;
#endif

// Products of bytes are added up in 16 bits.
#if (defined(__AVX512BW__) && !defined(__AVX512VNNI__)) || \
    (defined(__AVX2__) && !defined(__AVX512F__) && !defined(ANABRANCH_WIDE))
#define ANABRANCH_WORD_SUMS
#endif

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
  static constexpr bool grouped = false;
  static constexpr size_t step = kPanelWidth * 4, ahead = 8192;
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
  static constexpr bool grouped = false;
  static constexpr size_t step = kPanelWidth * 4, ahead = 8192;
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

/// The largest magnitude of N values, a multiple of W.
template <int N>
inline float largest_magnitude(const float* x) {
  Vec max = splat(0.0f);
#pragma GCC unroll 4
  for (int i = 0; i < N; i += W) {
    max = larger(reinterpret_cast<Vec>(load<Bits>(x + i) & 0x7fffffffu), max);
  }
  return fold(max, larger);
}

/// Converts one row to pairs of int16: at each chunk of `words`, `next` words apart, and behind it
/// its scale.
void quantize_row(const float* x, int k, std::uint32_t* words, size_t next) {
  for (int first = 0; first < k; first += kInt8Group, words += next) {
    const int n = std::min(kInt8Group, k - first);
    float part[kInt8Group] = {};
    const float* values = n == kInt8Group ? x + first : std::copy_n(x + first, n, part) - n;
    const float largest = largest_magnitude<kInt8Group>(values);
    const Vec inverse = splat(largest > 1e-30f ? 32767.0f / largest : 0.0f);
    std::uint16_t low[kInt8Group];
    for (int i = 0; i < kInt8Group; i += W) {
      // The low bits hold the integer.
      const Vec shifted = load<Vec>(values + i) * inverse + splat(12582912.0f);
      const auto halves = __builtin_convertvector(reinterpret_cast<Bits>(shifted), Halves);
      std::memcpy(low + i, &halves, sizeof halves);
    }
    std::memcpy(words, low, sizeof low);
    words[kInt8Group / 2] =
        std::bit_cast<std::uint32_t>(largest > 1e-30f ? largest / 32767.0f : 0.0f);
  }
}

/// Converts 32 values to int8, four to a word. Returns their sum.
inline int quantize_group(const float* x, float inverse_scale, std::uint32_t* words) {
  const Vec inverse = splat(inverse_scale);
  Ints whole[kMinFourBitGroup / W], total = {};
#pragma GCC unroll 4
  for (int i = 0; i < kMinFourBitGroup / W; ++i) {
    // The low bits hold the integer.
    const Vec shifted = load<Vec>(x + i * W) * inverse + splat(12582912.0f);
    whole[i] = reinterpret_cast<Ints>(shifted) << 16 >> 16;
    total += whole[i];
  }
  store_bytes(reinterpret_cast<std::byte*>(words), whole);
  return sum(total);
}

/// Converts one row to int8, four to a word: at each chunk of `words`, `next` words apart, and
/// behind it its scale and what `tell_sum` makes of the scale and the sum of its converted values.
/// W chunks at a time, whose scales are computed together.
template <class TellSum>
inline void quantize_row_to_bytes(const float* x, int k, std::uint32_t* words, size_t next,
                                  TellSum tell_sum) {
  constexpr int kTogether = kMinFourBitGroup, kWords = kTogether / 4;
  const int chunks = (k + kTogether - 1) / kTogether;
  float rest[kTogether] = {};  // the last chunk, if k ends in it
  if (k % kTogether) std::copy(x + k / kTogether * kTogether, x + k, rest);
  const auto values = [&](int chunk) {
    return (chunk + 1) * kTogether <= k ? x + chunk * kTogether : rest;
  };
  for (int first = 0; first < chunks; first += W) {
    const int count = std::min(W, chunks - first);
    float largest[W] = {}, inverse[W], scale[W];
    for (int i = 0; i < count; ++i) largest[i] = largest_magnitude<kTogether>(values(first + i));
    const Vec magnitude = load<Vec>(largest), none = splat(0.0f);
    const Ints used = magnitude > splat(1e-30f);
    store(inverse, used ? splat(127.0f) / magnitude : none);
    store(scale, used ? magnitude / splat(127.0f) : none);
    for (int i = 0; i < count; ++i, words += next) {
      const int sum = quantize_group(values(first + i), inverse[i], words);
      words[kWords] = std::bit_cast<std::uint32_t>(scale[i]);
      words[kWords + 1] = tell_sum(scale[i], sum);
    }
  }
}

/// int8 in pairs of k: column j in the low byte and column j + W in the high byte of each int16, so
/// that shifts convert them. Each group begins with its columns' scales. Inputs are pairs of int16
/// with one scale per row and group, which keeps nearly all of their precision. Sums of a group are
/// exact: 128 · 127 · 32767 is far from overflow. They are scaled with the same roundings on every
/// code path, which so gives the same bits.
struct Int8Weights {
  static constexpr auto type = WeightType::kInt8;
  using Input = std::uint32_t;
  using Sum = Ints;
  using Wide = Ints;
  static constexpr int depth = 2, parts = 1, chunk = kInt8Group, near = 16, rows = kTileRows;
  static constexpr bool grouped = true;
  static constexpr bool whole = false;
  static constexpr size_t step = kPanelWidth * 2, ahead = 8192;
  static constexpr size_t head = kPanelWidth * 2;  // bf16 scales
  static size_t steps(int k) { return input_pairs(k); }
  static int group(const PanelFormat&) { return kInt8Group; }
  static constexpr int chunk_words = kInt8ChunkWords;
  static void prepare(const float* x, int k, std::uint32_t* words, size_t next) {
    quantize_row(x, k, words, next);
  }
  struct GroupScale {
    Vec scale;
    /// input: its scale.
    Vec add(Vec sum, Ints products, const std::uint32_t* input) const {
      const Vec inputs = reinterpret_cast<Vec>(splat_bits(*input));
      return fused(__builtin_convertvector(products, Vec) * inputs, scale, sum);
    }
  };
  static GroupScale group_scale(const std::byte* head, int half) {
    return {widen(reinterpret_cast<const std::uint16_t*>(head) + half * W)};
  }
  static void load_pair(const std::byte* at, int, Ints& low, Ints& high) {
    const Shorts both = load<Shorts>(at);
    low = reinterpret_cast<Ints>(both << 8 >> 8);
    high = reinterpret_cast<Ints>(both >> 8);
  }
  static Ints start(const std::uint32_t*) { return Ints{}; }
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

/// int8 beside int4 weights, in steps of twice 4 k: a column's word holds them plus 128. Scales are
/// those of int8. Inputs are bytes, as for int4: half as many instructions as with 16 bits. Sums of
/// a chunk begin with -128 times the sum of its inputs, so that they are those of the weights
/// themselves, and exact.
struct Int8ByteWeights {
  static constexpr auto type = WeightType::kInt8;
  using Input = std::uint32_t;
  using Sum = Ints;
  using Wide = Bits;
  static constexpr int depth = 8, parts = 2, chunk = kMinFourBitGroup, near = 0;
  static constexpr int rows = kFourBitTileRows;
  static constexpr bool grouped = true, whole = true;
  static constexpr size_t step = kPanelWidth * 8, ahead = 8192;
  static constexpr size_t head = kPanelWidth * 2;  // bf16 scales
  static size_t steps(int k) { return input_quads(k) / parts; }
  static int group(const PanelFormat&) { return kInt8Group; }
  static constexpr int chunk_words = kByteChunkWords;
  static void prepare(const float* x, int k, std::uint32_t* words, size_t next) {
    quantize_row_to_bytes(x, k, words, next,
                          [](float, int sum) { return static_cast<std::uint32_t>(-128 * sum); });
  }
  static Ints start(const std::uint32_t* input) {
    return reinterpret_cast<Ints>(splat_bits(input[1]));
  }
  using GroupScale = Int8Weights::GroupScale;
  static GroupScale group_scale(const std::byte* head, int half) {
    return Int8Weights::group_scale(head, half);
  }
  static void load_pair(const std::byte* at, int part, Bits& low, Bits& high) {
    at += part * kPanelWidth * 4;
    low = load<Bits>(at);
    high = load<Bits>(at + W * 4);
  }
  static Bits spread(std::uint32_t x) { return splat_bits(x); }
  static Ints multiply(Ints sum, Bits x, Bits w) {
#if defined(__AVX512VNNI__)
    return reinterpret_cast<Ints>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum),
                                                      reinterpret_cast<__m512i>(w),
                                                      reinterpret_cast<__m512i>(x)));
#else
    // Pairs of 16 bits: the words' even bytes, then their odd ones.
    const auto inputs = reinterpret_cast<Shorts>(x);
    const auto weights = reinterpret_cast<Words>(w);
    const auto pairs = [](Ints so_far, Shorts a, Words b) {
      return Int8Weights::multiply(so_far, reinterpret_cast<Ints>(a), reinterpret_cast<Ints>(b));
    };
    return pairs(pairs(sum, inputs << 8 >> 8, weights & 0xff), inputs >> 8, weights >> 8);
#endif
  }
};

/// Four bits, value = scale · q + offset, in steps of 8 k: byte b of a column's word holds q[b] in
/// its low half and q[4 + b] in its high half. Columns 0 to W - 1 come first, then W to 2W - 1.
/// Each group begins with its columns' scales, then with the offsets, if they are stored. Inputs
/// are int8 with one scale per row and 32 values, whose sum is known, so that an offset costs one
/// multiplication. Sums of 32 products are exact, also if they are two of 16 bits: 16 · 15 · 127 is
/// less than 2^15.
template <FourBitOffset kOffset>
struct Int4Weights {
  static constexpr auto type = WeightType::kInt4;
  using Input = std::uint32_t;
  using Wide = Bits;
  static constexpr int depth = 8, parts = 2, chunk = kMinFourBitGroup, near = 16;
  static constexpr int rows = kFourBitTileRows;
  static constexpr bool grouped = true, whole = true;
  static constexpr size_t step = kPanelWidth * 4, ahead = 8192;
  static constexpr size_t head = kPanelWidth * (kOffset == FourBitOffset::kEight ? 2 : 4);

#if defined(ANABRANCH_WORD_SUMS)
  using Sum = Shorts;  // two a column
  static Ints total(Sum sum) {
#if defined(__AVX512BW__)
    return reinterpret_cast<Ints>(
        _mm512_madd_epi16(reinterpret_cast<__m512i>(sum), _mm512_set1_epi16(1)));
#else
    return reinterpret_cast<Ints>(
        _mm256_madd_epi16(reinterpret_cast<__m256i>(sum), _mm256_set1_epi16(1)));
#endif
  }
#else
  using Sum = Ints;
  static Ints total(Sum sum) { return sum; }
#endif

  static size_t steps(int k) { return input_quads(k) / parts; }
  static int group(const PanelFormat& format) { return format.four_bit.group; }
  static constexpr int chunk_words = kByteChunkWords;
  static void prepare(const float* x, int k, std::uint32_t* words, size_t next) {
    quantize_row_to_bytes(x, k, words, next, [](float scale, int sum) {
      return std::bit_cast<std::uint32_t>(scale * static_cast<float>(sum));
    });
  }
  static Sum start(const std::uint32_t*) { return Sum{}; }
  static void load_pair(const std::byte* at, int part, Bits& low, Bits& high) {
    low = nibbles(at, part);
    high = nibbles(at + W * 4, part);
  }
  static Bits nibbles(const std::byte* at, int part) {
    return load<Bits>(at) >> (4 * part) & 0x0f0f0f0fu;
  }
  static Bits spread(std::uint32_t x) { return splat_bits(x); }
  static Sum multiply(Sum sum, Bits x, Bits w) {
#if defined(__AVX512VNNI__)
    return reinterpret_cast<Sum>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum),
                                                     reinterpret_cast<__m512i>(w),
                                                     reinterpret_cast<__m512i>(x)));
#elif defined(__AVX512BW__)
    return sum + reinterpret_cast<Sum>(_mm512_maddubs_epi16(reinterpret_cast<__m512i>(w),
                                                            reinterpret_cast<__m512i>(x)));
#elif defined(ANABRANCH_WORD_SUMS)
    return sum + reinterpret_cast<Sum>(_mm256_maddubs_epi16(reinterpret_cast<__m256i>(w),
                                                            reinterpret_cast<__m256i>(x)));
#else
    const auto inputs = reinterpret_cast<Ints>(x), levels = reinterpret_cast<Ints>(w);
    for (int shift = 24; shift >= 0; shift -= 8) {
      sum += (inputs << shift >> 24) * (levels << shift >> 24);
    }
    return sum;
#endif
  }

  struct GroupScale {
    Vec scale, offset;
    /// Adds scale · (products · input + sum of inputs · zero), or the like with a minimum. input:
    /// its scale and its sum.
    Vec add(Vec sum, Sum products, const std::uint32_t* input) const {
      const Vec product = __builtin_convertvector(total(products), Vec) *
                          reinterpret_cast<Vec>(splat_bits(input[0]));
      const Vec inputs = reinterpret_cast<Vec>(splat_bits(input[1]));
      if constexpr (kOffset == FourBitOffset::kMin) {
        return fused(offset, inputs, fused(product, scale, sum));
      }
      const Vec zero = kOffset == FourBitOffset::kEight ? splat(-8.0f) : offset;
      return fused(fused(zero, inputs, product), scale, sum);
    }
  };
  static GroupScale group_scale(const std::byte* head, int half) {
    const auto* scales = reinterpret_cast<const std::uint16_t*>(head) + half * W;
    const Vec scale = widen_fp16(scales);
    if constexpr (kOffset == FourBitOffset::kEight) return {scale, scale};
    const Vec stored = widen_fp16(scales + kPanelWidth);
    return {scale, kOffset == FourBitOffset::kMin ? stored : -stored};
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

/// In words of `kDepth` values of k: pairs of two columns, or four of one column, plus 128.
template <int kDepth>
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
    constexpr int kColumns = 4 / kDepth;  // in a word
    const int padded = kDepth == 4 ? static_cast<int>(input_quads(n)) * 4 : n;
    for (int i = 0; i < padded; i += kDepth) {
      for (int j = 0; j < kPanelWidth / kColumns; ++j) {
        for (int value = 0; value < 4; ++value, ++out) {
          const int column = j + value % kColumns * W, at = first + i + value / kColumns;
          const float whole =
              at < k ? rows[static_cast<size_t>(column) * k + at] * inverse[column] : 0;
          *out = static_cast<std::byte>(nearest(std::min(127.0f, std::max(-127.0f, whole))) +
                                        (kDepth == 4 ? 128 : 0));
        }
      }
    }
  }
}

void pack_four_bit(const FourBitFormat& format, const FourBitRow* rows, int k, std::byte* out) {
  for (int group = 0; group < format.groups(k); ++group) {
    for (int j = 0; j < kPanelWidth; ++j, out += 2) std::memcpy(out, &rows[j].scales[group], 2);
    for (int j = 0; format.offset != FourBitOffset::kEight && j < kPanelWidth; ++j, out += 2) {
      std::memcpy(out, &rows[j].offsets[group], 2);
    }
    const int first = group * format.group, padded = static_cast<int>(input_quads(k)) * 4;
    for (int i = first; i < std::min(padded, first + format.group); i += 8) {
      for (int j = 0; j < kPanelWidth; ++j, out += 4) {
        std::uint32_t word = 0;
        for (int at = i; at < std::min(i + 8, k); ++at) {
          const int byte = (at - i) % 4, half = (at - i) / 4;
          word |= static_cast<std::uint32_t>(rows[j].q[at]) << (8 * byte + 4 * half);
        }
        std::memcpy(out, &word, 4);
      }
    }
  }
}

void pack(const PanelFormat& format, const float* rows, int k, std::byte* out) {
  if (format.type == WeightType::kF32)
    pack_f32(rows, k, out);
  else if (format.type == WeightType::kBF16)
    pack_bf16(rows, k, out);
  else if (format.byte_inputs)
    pack_int8<4>(rows, k, out);
  else
    pack_int8<2>(rows, k, out);
}

}  // namespace
}  // namespace anabranch
