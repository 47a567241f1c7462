// Matrix products over packed weights.
// Part of each copy of kernels.cpp, and of nothing else.
#pragma once

#include <algorithm>
#include <cstring>

#include "number_formats.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/rows.h"
#include "backends/cpu/vectors.h"

namespace anabranch {
namespace {

// A strip holds 2W output columns. It is walked in chunks along K that stay in the first cache while
// every tile of rows takes its turn; between chunks a row's sums wait in memory, exactly as they
// are. So each sum runs along K in one order, whatever the tiles.
//
// A kind of weights says what a step along K is: `depth` values of k, `step` bytes of a strip, one
// Input a row. Products are added in Sums; `chunk` values of k make a chunk, which begins with `head`
// bytes. Weights are asked for `ahead` bytes before their use; up to `near` rows they go to the first
// cache; with more, whose inputs want that cache, to the second.

constexpr int kStrip = 2 * W;

#if defined(ANABRANCH_DOT)
constexpr bool kPairs = true;
#else
constexpr bool kPairs = false;
#endif

/// A strip's columns of one row as pairs of bf16.
inline void store_pairs(std::uint32_t* pairs, const float* x) {
#if defined(__AVX512BF16__)
  const auto both = _mm512_cvtne2ps_pbh(load<__m512>(x + W), load<__m512>(x));
  std::memcpy(pairs, &both, sizeof both);
#else
  for (int i = 0; i < kStrip / 2; ++i) {
    pairs[i] = to_bf16(x[2 * i]) | static_cast<std::uint32_t>(to_bf16(x[2 * i + 1])) << 16;
  }
#endif
}

/// fp32: per k two vectors.
struct F32Weights {
  static constexpr auto type = WeightType::kF32;
  using Input = float;
  using Sum = Vec;
  using Wide = Vec;
  static constexpr int depth = 1, chunk = 128, near = 4;
  static constexpr size_t step = kStrip * 4, head = 0, ahead = 8192;
  static void load_pair(const std::byte* at, Vec& low, Vec& high) {
    low = load<Vec>(at);
    high = load<Vec>(at + W * 4);
  }
  static Vec spread(float x) { return splat(x); }
  static Vec multiply(Vec sum, Vec x, Vec w) { return fma(x, w, sum); }
};

/// bf16: per k one vector of words, column j in the low half of word j and column j + W in the high
/// half, so that a shift and a mask widen.
struct Bf16Weights : F32Weights {
  static constexpr auto type = WeightType::kBF16;
  static constexpr int chunk = 256;
  static constexpr size_t step = kStrip * 2;
  static void load_pair(const std::byte* at, Vec& low, Vec& high) {
    const Bits words = load<Bits>(at);
    low = reinterpret_cast<Vec>(words << 16);
    high = reinterpret_cast<Vec>(words & 0xffff0000u);
  }
};

#if defined(ANABRANCH_DOT)
/// bf16 by pairs of k, a column's two weights in one word. Inputs are rounded to bf16, too.
struct DotWeights {
  static constexpr auto type = WeightType::kBF16;
  using Input = std::uint32_t;
  using Sum = Vec;
  using Wide = Bits;
  static constexpr int depth = 2, chunk = 256, near = 4;
  static constexpr size_t step = kStrip * 4, head = 0, ahead = 8192;
  static void load_pair(const std::byte* at, Bits& low, Bits& high) {
    low = load<Bits>(at);
    high = load<Bits>(at + W * 4);
  }
  static void prepare(const float* x, int k, std::uint32_t* words) {
    int i = 0;
    for (; i + kStrip <= k; i += kStrip) store_pairs(words + i / 2, x + i);
    if (i == k) return;
    float rest[kStrip] = {};
    std::uint32_t pairs[kStrip / 2];
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

/// One row as pairs of int16, then its scales, one a group.
void quantize_row(const float* x, int k, std::uint32_t* words) {
  std::uint32_t* scales = words + (k + 1) / 2;
  for (int first = 0; first < k; first += kInt8Group) {
    float part[kInt8Group] = {};
    std::copy(x + first, x + std::min(k, first + kInt8Group), part);
    Vec most = splat(0.0f);
    for (int i = 0; i < kInt8Group; i += W) {
      const Vec v = load<Vec>(part + i);
      const Vec size = v < splat(0.0f) ? -v : v;
      most = size > most ? size : most;
    }
    float lanes[W], largest = 0;
    store(lanes, most);
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

/// int8 by pairs of k, column j in the low and column j + W in the high byte of a pair's int16 each:
/// shifts widen. In groups: each begins with its columns' scales. Inputs are pairs of
/// int16 with a scale of their own for each row and group, so that next to nothing is lost on their
/// side. Sums of a group are exact: 128 · 127 · 32767 is far from overflow.
struct Int8Weights {
  static constexpr auto type = WeightType::kInt8;
  using Input = std::uint32_t;
  using Sum = Ints;
  using Wide = Ints;
  static constexpr int depth = 2, chunk = kInt8Group, near = 16;
  static constexpr size_t step = kStrip * 2, head = kStrip * 2, ahead = 16384;  // scales are bf16
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
    return sum + reinterpret_cast<Ints>(_mm512_madd_epi16(reinterpret_cast<__m512i>(x),
                                                          reinterpret_cast<__m512i>(w)));
#elif defined(__AVX2__) && !defined(ANABRANCH_WIDE)
    return sum + reinterpret_cast<Ints>(_mm256_madd_epi16(reinterpret_cast<__m256i>(x),
                                                          reinterpret_cast<__m256i>(w)));
#else
    return sum + (x << 16 >> 16) * (w << 16 >> 16) + (x >> 16) * (w >> 16);
#endif
  }
};

// ---- packing -------------------------------------------------------------------------------------

void pack_f32(const float* rows, int k, std::byte* out) {
  for (int i = 0; i < k; ++i) {
    for (int j = 0; j < kStrip; ++j, out += 4) {
      std::memcpy(out, rows + static_cast<size_t>(j) * k + i, 4);
    }
  }
}

void pack_bf16(const float* rows, int k, std::byte* out) {
#if defined(ANABRANCH_DOT)
  for (int i = 0; i < k; i += 2) {
    for (int j = 0; j < kStrip; ++j, out += 4) {
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

/// The whole number nearest to x, |x| < 2^22, as the low bits of a float's.
inline std::uint32_t nearest(float x) { return std::bit_cast<std::uint32_t>(x + 12582912.0f); }

void pack_int8(const float* rows, int k, std::byte* out) {
  for (int first = 0; first < k; first += kInt8Group) {
    const int n = std::min(kInt8Group, k - first);
    float inverse[kStrip];
    for (int j = 0; j < kStrip; ++j, out += 2) {
      const float* at = rows + static_cast<size_t>(j) * k + first;
      float most = 0;
      for (int i = 0; i < n; ++i) most = std::max(most, std::abs(at[i]));
      // The scale that is stored is the scale that counts; what rounds beyond 127 is cut.
      const std::uint16_t scale = to_bf16(most / 127.0f);
      std::memcpy(out, &scale, 2);
      inverse[j] = from_bf16(scale) > 1e-30f ? 1.0f / from_bf16(scale) : 0.0f;
    }
    for (int i = 0; i < n; i += 2) {
      for (int j = 0; j < W; ++j) {
        for (int value = 0; value < 4; ++value, ++out) {
          const int column = value % 2 ? j + W : j, at = first + i + value / 2;
          const float whole = at < k ? rows[static_cast<size_t>(column) * k + at] * inverse[column] : 0;
          *out = static_cast<std::byte>(nearest(std::min(127.0f, std::max(-127.0f, whole))));
        }
      }
    }
  }
}

void pack(WeightType type, const float* rows, int k, std::byte* out) {
  if (type == WeightType::kF32) pack_f32(rows, k, out);
  else if (type == WeightType::kBF16) pack_bf16(rows, k, out);
  else pack_int8(rows, k, out);
}

// ---- tiles ---------------------------------------------------------------------------------------

/// M rows by S strips over one chunk of K, in registers. `sums` is [S][rows of the panel][kStrip].
template <class Kind>
struct Chunk {
  const typename Kind::Input* x = nullptr;  // at the chunk
  std::ptrdiff_t ldx = 0;
  const float* scales = nullptr;            // int8: this chunk's, one each ldx
  const std::byte* w = nullptr;             // at the chunk, in the first strip
  size_t stride = 0;                        // bytes of a strip
  int steps = 0;
  bool first = false;                       // of K: sums begin at nothing
  // What the processor fetches by itself leaves a third of the bandwidth unused once rows keep it
  // busy. The next strip follows this one.
  size_t fetch = 0;                         // where these rows begin to ask for what comes, from w
  size_t fetch_step = 0;                    // bytes of it at each step, or 0
  float* sums = nullptr;
  int panel = 0;                            // rows of the panel
};

template <class Kind, int M, int S, bool Fetch>
void accumulate(const Chunk<Kind>& c, const std::byte* w, typename Kind::Sum (&acc)[M][S][2]) {
  const typename Kind::Input* x[M];
  for (int m = 0; m < M; ++m) {
    x[m] = c.x + m * c.ldx;
#if defined(__x86_64__) && !defined(__AVX512F__)
    // Pointers whose kinship is hidden: else the compiler computes each anew from the last one.
    asm("" : "+r"(x[m]));
#endif
  }
  const std::byte* ahead = w + c.fetch;
  for (int i = 0; i < c.steps; ++i, ahead += c.fetch_step) {
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) {
      typename Kind::Wide low, high;
      const std::byte* at = w + s * c.stride + static_cast<size_t>(i) * Kind::step;
      for (size_t line = 0; Fetch && line < Kind::step; line += 64) {
        __builtin_prefetch(ahead + s * c.stride + line, 0, M <= Kind::near ? 3 : 2);
      }
      Kind::load_pair(at, low, high);
      // One input at a time: beside the sums, all M of them would not fit 16 registers.
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m) {
        const auto in = Kind::spread(x[m][i]);
        acc[m][s][0] = Kind::multiply(acc[m][s][0], in, low);
        acc[m][s][1] = Kind::multiply(acc[m][s][1], in, high);
      }
    }
  }
}

template <class Kind, int M, int S>
void tile(const Chunk<Kind>& c) {
  constexpr bool kGrouped = Kind::head > 0;  // sums of a chunk are whole numbers, to be scaled
  const auto sums_at = [&](int m, int s, int half) {
    return c.sums + (static_cast<size_t>(s) * c.panel + m) * kStrip + half * W;
  };
  typename Kind::Sum acc[M][S][2];
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
    for (int s = 0; s < S; ++s) {
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        if (kGrouped || c.first) acc[m][s][half] = typename Kind::Sum{};
        else acc[m][s][half] = load<typename Kind::Sum>(sums_at(m, s, half));
      }
    }
  }
  const std::byte* w = c.w + Kind::head;
  if (c.fetch_step) accumulate<Kind, M, S, true>(c, w, acc);
  else accumulate<Kind, M, S, false>(c, w, acc);
#pragma GCC unroll 4
  for (int s = 0; s < S; ++s) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      if constexpr (kGrouped) {
        // Not fused, so that every code path gives the same bits.
        const Vec scale = widen(reinterpret_cast<const std::uint16_t*>(c.w + s * c.stride) + half * W);
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m) {
          const Vec sum = __builtin_convertvector(acc[m][s][half], Vec) *
                          (scale * splat(c.scales[m * c.ldx]));
          float* at = sums_at(m, s, half);
          store(at, c.first ? sum : load<Vec>(at) + sum);
        }
      } else {
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m) store(sums_at(m, s, half), acc[m][s][half]);
      }
    }
  }
}

/// Rows of a tile of one strip: two vectors of sums each, beside two of weights and one input.
#if defined(__AVX512F__) || defined(ANABRANCH_WIDE)
constexpr int kTileRows = 12;
#else
constexpr int kTileRows = 6;
#endif

/// `rows` rows by S strips: at once if the registers hold it, else strip by strip.
template <class Kind, int S, int M = kTileRows>
void tile_of(Chunk<Kind> c, int rows) {
  if constexpr (M > 1) {
    if (rows < M) return tile_of<Kind, S, M - 1>(c, rows);
  }
  if constexpr (M * S <= kTileRows) {
    tile<Kind, M, S>(c);
  } else {
    for (int s = 0; s < S; ++s) {
      tile<Kind, M, 1>(c);
      c.w += c.stride;
      c.sums += c.panel * kStrip;
    }
  }
}

/// Rows of the next tile where `left` are left: tiles of about equal size. But eight are six and two:
/// tiles of four rows and one strip have too few sums under way to keep two multipliers busy.
inline int next_tile(int left) {
  if (left == 8 && kTileRows == 6) return 6;
  const int tiles = (left + kTileRows - 1) / kTileRows;
  return (left + tiles - 1) / tiles;
}

/// Writes, or adds, one row's sums of one strip; of a pair, where they are gated, with `up` the other's.
inline void finish(const Gemm& g, int row, int strip, float* sums, float* up) {
  const int column = (up ? strip / 2 : strip) * kStrip;
  const int width = g.out_pairs ? kStrip : std::min(kStrip, g.n - column);
  float* out = g.out_pairs ? nullptr : static_cast<float*>(g.out) + row * g.ldo + column;
  for (int j = 0; g.accumulate && j < width; ++j) sums[j] = out[j] + sums[j];
  for (int j = 0; g.bias && j < width; ++j) sums[j] += g.bias[strip * kStrip + j];
  if (up) {
    for (int j = 0; g.bias && j < width; ++j) up[j] += g.bias[(strip + 1) * kStrip + j];
    silu_multiply(sums, up, width);
  }
  if (out) std::memcpy(out, sums, sizeof(float) * width);
  else store_pairs(static_cast<std::uint32_t*>(g.out) + row * g.ldo + column / 2, sums);
}

/// Asks for what a strip's sums of one row will be written to: others have read it, and to take it back
/// from another core takes long. (Inlined by force: GCC drops calls of what does nothing but prefetch.)
__attribute__((always_inline)) inline void claim(const Gemm& g, int row, int strip) {
  const int column = (g.gated ? strip / 2 : strip) * kStrip;
  const auto* out = static_cast<const std::byte*>(g.out);
  if (g.out_pairs) return __builtin_prefetch(out + (row * g.ldo + column / 2) * 4, 1);
  for (int j = 0; j < kStrip; j += 16) __builtin_prefetch(out + (row * g.ldo + column + j) * 4, 1);
}

/// Rows [panel, panel + rows) by strips [first, last), S at once. Returns the first one left over.
template <class Kind, int S>
int panel_of(const Gemm& g, const typename Kind::Input* x, std::ptrdiff_t ldx, int panel, int rows,
             int first, int last) {
  // Two strips at least: a pair's first one waits for the other.
  float sums[(S > 2 ? 1 : kPanelRows) * std::max(S, 2) * kStrip];
  const auto sums_of = [&](int s, int row) { return sums + (static_cast<size_t>(s) * rows + row) * kStrip; };
  Chunk<Kind> c;
  c.ldx = ldx;
  c.stride = strip_bytes(Kind::type, kStrip, g.k);
  c.panel = rows;
  // One tile alone needs no chunks but those that are scaled.
  const int chunk = Kind::head == 0 && rows <= kTileRows ? g.k : Kind::chunk;
  // Not within a chunk that other tiles still come back to.
  const size_t ahead = rows <= kTileRows
                           ? Kind::ahead
                           : std::max(Kind::ahead, Kind::step * (Kind::chunk / Kind::depth));
  int strip = first;
  for (; strip + S <= last; strip += S) {
    const int waiting = S == 1 && g.gated ? strip % 2 : 0;
    c.w = g.w + c.stride * static_cast<size_t>(strip);
    for (int row = 0; row < rows; ++row) {
      for (int s = 0; s < S; ++s) claim(g, panel + row, strip + s);
    }
    for (int k = 0; k < g.k; k += chunk) {
      c.steps = (std::min(chunk, g.k - k) + Kind::depth - 1) / Kind::depth;
      c.first = k == 0;
      c.fetch = ahead;
      c.fetch_step = rows > kTileRows ? Kind::step / 2 : Kind::step;  // the first two tiles share it
      for (int row = 0, next; row < rows; row += next) {
        next = next_tile(rows - row);
        c.x = x + row * ldx + k / Kind::depth;
        c.scales = reinterpret_cast<const float*>(x + row * ldx + (g.k + 1) / 2) + k / chunk;
        c.sums = sums_of(waiting, row);
        tile_of<Kind, S>(c, next);
        c.fetch += c.fetch_step * c.steps;
        if (c.fetch >= ahead + Kind::step * c.steps) c.fetch_step = 0;
      }
      c.w += Kind::head + c.steps * Kind::step;
    }
    const int there = waiting + S;
    for (int s = 0; s + g.gated < there; s += 1 + g.gated) {
      for (int row = 0; row < rows; ++row) {
        finish(g, panel + row, strip - waiting + s, sums_of(s, row),
               g.gated ? sums_of(s + 1, row) : nullptr);
      }
    }
  }
  return strip;
}

template <class Kind>
void gemm_of(const Gemm& g) {
  // A strip is read from memory once and then from cache for all its row tiles; rows are walked in
  // panels that stay in cache while the strips pass.
  for (int panel = 0; panel < g.m; panel += kPanelRows) {
    const int rows = std::min(g.m - panel, kPanelRows);
    const auto given = [&](int row) { return static_cast<const float*>(g.x) + (panel + row) * g.ldx; };
    const auto normed = [&](int row, float* to) {
      rms_norm(given(row), g.norm, g.k, g.epsilon, to);
      return to;
    };
    const typename Kind::Input* x;
    std::ptrdiff_t ldx;
    if constexpr (std::is_same_v<typename Kind::Input, float>) {
      float* to = reinterpret_cast<float*>(g.scratch);
      for (int row = 0; g.norm && row < rows; ++row) normed(row, to + static_cast<size_t>(row) * g.k);
      x = g.norm ? to : given(0);
      ldx = g.norm ? g.k : g.ldx;
    } else if (g.x_pairs) {
      x = static_cast<const std::uint32_t*>(g.x) + panel * g.ldx;
      ldx = g.ldx;
    } else {
      ldx = static_cast<std::ptrdiff_t>(panel_words(g.k));
      float* to = reinterpret_cast<float*>(g.scratch + kPanelRows * ldx);
      for (int row = 0; row < rows; ++row) {
        Kind::prepare(g.norm ? normed(row, to) : given(row), g.k, g.scratch + row * ldx);
      }
      x = g.scratch;
    }
    int strip = g.first;
    if constexpr (kTileRows < 12) {  // few rows by one strip have too few sums under way
      if (rows == 1) strip = panel_of<Kind, 4>(g, x, ldx, panel, rows, strip, g.last);
      else strip = panel_of<Kind, 2>(g, x, ldx, panel, rows, strip, g.last);
    }
    panel_of<Kind, 1>(g, x, ldx, panel, rows, strip, g.last);
  }
}

void gemm(WeightType type, const Gemm& g) {
  if (type == WeightType::kF32) return gemm_of<F32Weights>(g);
  if (type == WeightType::kInt8) return gemm_of<Int8Weights>(g);
#if defined(ANABRANCH_DOT)
  gemm_of<DotWeights>(g);
#else
  gemm_of<Bf16Weights>(g);
#endif
}

}  // namespace
}  // namespace anabranch
