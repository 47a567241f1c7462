// Compiled once per instruction set; ANABRANCH_PATH names the copy (see CMakeLists.txt).
// ANABRANCH_DOT says that bf16 products go two by two through a dot-product instruction; without
// the instruction the same arithmetic is spelled out, which lets any CPU check that copy's logic.
#include "kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "../numbers.h"

#define ANABRANCH_STRING_(x) #x
#define ANABRANCH_STRING(x) ANABRANCH_STRING_(x)

namespace anabranch {
namespace {

// ---- vectors: W floats wide --------------------------------------------------------------------

#if defined(__AVX512F__)
constexpr int W = 16;
#else
constexpr int W = 8;
#endif

typedef float Vec __attribute__((vector_size(W * 4)));
typedef std::uint32_t Bits __attribute__((vector_size(W * 4)));
typedef std::int32_t Ints __attribute__((vector_size(W * 4)));
typedef std::uint16_t Halves __attribute__((vector_size(W * 2)));

inline Vec splat(float value) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vec>(_mm512_set1_ps(value));
#elif defined(__AVX2__)
  return reinterpret_cast<Vec>(_mm256_set1_ps(value));
#else
  return Vec{value, value, value, value, value, value, value, value};
#endif
}

inline Bits splat_bits(std::uint32_t value) {
  return reinterpret_cast<Bits>(splat(std::bit_cast<float>(value)));
}

/// a · b + c, fused where the instruction set fuses; the same in every instantiation.
inline Vec fma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vec>(_mm512_fmadd_ps(
      reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
#elif defined(__FMA__)
  return reinterpret_cast<Vec>(_mm256_fmadd_ps(
      reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
#else
  return a * b + c;
#endif
}

template <class T>
inline T load(const void* at) {
  T out;
  std::memcpy(&out, at, sizeof out);
  return out;
}
inline void store(float* at, Vec value) { std::memcpy(at, &value, sizeof value); }

inline Vec widen(const std::uint16_t* at) {
  return reinterpret_cast<Vec>(__builtin_convertvector(load<Halves>(at), Bits) << 16);
}

inline float sum(Vec v) {
  float lanes[W];
  store(lanes, v);
  for (int width = W / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

/// e^x for x ≤ 0 (0 below -87), to about 2 ulp: Cody-Waite reduction and the minimax polynomial of
/// Cephes expf.
inline Vec exponential(Vec x) {
  const Vec lowest = splat(-87.0f);
  const Ints dead = x < lowest;
  x = dead ? lowest : x;
  Vec n = fma(x, splat(1.44269504088896341f), splat(12582912.0f));  // round by 1.5 · 2^23
  const Ints shift = reinterpret_cast<Ints>(n) << 23;
  n = n - splat(12582912.0f);
  Vec r = fma(n, splat(-0.693359375f), x);
  r = fma(n, splat(2.12194440e-4f), r);
  Vec p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = fma(p, r * r, r + splat(1.0f));
  const Vec scaled = reinterpret_cast<Vec>(reinterpret_cast<Ints>(p) + shift);
  return dead ? splat(0.0f) : scaled;
}

// ---- packed weights ----------------------------------------------------------------------------
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

// ---- matrix products ---------------------------------------------------------------------------

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
  constexpr int kPanel = 96;
  const int pairs = (g.k + 1) / 2;
  thread_local std::vector<std::uint32_t> words;
  for (int panel = 0; panel < g.m; panel += kPanel) {
    const int end = std::min(g.m, panel + kPanel);
    words.resize(static_cast<size_t>(end - panel) * pairs);
    for (int row = panel; row < end; ++row) {
      const float* x = g.x + row * g.ldx;
      std::uint32_t* out = words.data() + static_cast<size_t>(row - panel) * pairs;
      for (int i = 0; i < g.k / 2; ++i) {
        out[i] = to_bf16(x[2 * i]) | static_cast<std::uint32_t>(to_bf16(x[2 * i + 1])) << 16;
      }
      if (g.k % 2) out[pairs - 1] = to_bf16(x[g.k - 1]);
    }
    const auto at = [&](int row) {
      return words.data() + static_cast<size_t>(row - panel) * pairs;
    };
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
  constexpr int kPanel = 96;
  for (int panel = 0; panel < g.m; panel += kPanel) {
    const int rows = std::min(g.m - panel, kPanel);
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

// ---- row operations ----------------------------------------------------------------------------

void rms_norm(const float* x, const float* weight, int n, float epsilon, float* out) {
  Vec squares = splat(0.0f);
  int i = 0;
  for (; i + W <= n; i += W) {
    const Vec v = load<Vec>(x + i);
    squares = fma(v, v, squares);
  }
  float total = sum(squares);
  for (; i < n; ++i) total += x[i] * x[i];
  const float scale = 1.0f / std::sqrt(total / static_cast<float>(n) + epsilon);
  for (i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

void silu_multiply(float* gate, const float* up, int n) {
  const auto part = [](Vec g, Vec u) {
    // silu(g) = g / (1 + e^-g), by e^-|g| so that nothing overflows.
    const Ints negative = g < splat(0.0f);
    const Vec e = exponential(negative ? g : -g);
    const Vec one = splat(1.0f);
    return g * (negative ? e : one) / (one + e) * u;
  };
  int i = 0;
  for (; i + W <= n; i += W) store(gate + i, part(load<Vec>(gate + i), load<Vec>(up + i)));
  if (i < n) {
    float g[W] = {}, u[W] = {};
    std::copy(gate + i, gate + n, g);
    std::copy(up + i, up + n, u);
    const Vec result = part(load<Vec>(g), load<Vec>(u));
    store(g, result);
    std::copy(g, g + (n - i), gate + i);
  }
}

// ---- attention ---------------------------------------------------------------------------------
// Each piece of kPieceTokens gives (max, sum of weights, weighted V); pieces are merged in context
// order by log-sum-exp. What a piece gives depends on the piece and the query alone.

struct F32Cache {
  using Element = float;
  static Vec widened(const float* at) { return load<Vec>(at); }
};
struct Bf16Cache {
  using Element = std::uint16_t;
  static Vec widened(const std::uint16_t* at) { return widen(at); }
};

/// scores[g, t] = q[g] · K[t] for the 16 tokens of a block, G query heads at once.
template <class Cache, int G>
void block_scores(const float* q, int head_dim, const typename Cache::Element* k, float* scores) {
  constexpr int V = kBlockTokens / W;
  Vec acc[G][V];
  for (auto& by_token : acc) {
    for (Vec& a : by_token) a = splat(0.0f);
  }
  for (int d = 0; d < head_dim; ++d) {
    Vec key[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) key[v] = Cache::widened(k + d * kBlockTokens + v * W);
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      const Vec query = splat(q[g * head_dim + d]);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) acc[g][v] = fma(query, key[v], acc[g][v]);
    }
  }
  for (int g = 0; g < G; ++g) {
    for (int v = 0; v < V; ++v) store(scores + g * kPieceTokens + v * W, acc[g][v]);
  }
}

/// out[g, d] += weight[g, t] · V[t, d] over a block's first n tokens, for one query head.
template <class Cache>
void block_values(const float* weight, int n, int head_dim, const typename Cache::Element* v,
                  float* out) {
  int d = 0;
  for (; d + 4 * W <= head_dim; d += 4 * W) {
    Vec acc[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) acc[i] = load<Vec>(out + d + i * W);
    for (int t = 0; t < n; ++t) {
      const Vec w = splat(weight[t]);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        acc[i] = fma(w, Cache::widened(v + t * head_dim + d + i * W), acc[i]);
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) store(out + d + i * W, acc[i]);
  }
  for (; d + W <= head_dim; d += W) {
    Vec acc = load<Vec>(out + d);
    for (int t = 0; t < n; ++t) {
      acc = fma(splat(weight[t]), Cache::widened(v + t * head_dim + d), acc);
    }
    store(out + d, acc);
  }
  for (; d < head_dim; ++d) {
    for (int t = 0; t < n; ++t) {
      float value;
      if constexpr (std::is_same_v<Cache, F32Cache>) value = v[t * head_dim + d];
      else value = from_bf16(v[t * head_dim + d]);
      out[d] += weight[t] * value;
    }
  }
}

template <class Cache>
void attend_of(const Attend& a) {
  using Element = typename Cache::Element;
  const auto* k = reinterpret_cast<const Element*>(a.k);
  const auto* v = reinterpret_cast<const Element*>(a.v);
  const size_t tile = static_cast<size_t>(kBlockTokens) * a.head_dim;
  const auto at = [&](int block) {
    return (static_cast<size_t>(block) * a.kv_heads + a.kv_head) * tile;
  };
  float* scores = a.scratch;                       // [group, kPieceTokens]
  float* values = scores + a.group * kPieceTokens; // [head_dim], one query head's piece
  float top[64], weight[64];
  for (int g = 0; g < a.group; ++g) {
    top[g] = -std::numeric_limits<float>::infinity();
    weight[g] = 0;
    std::fill_n(a.out + g * a.head_dim, a.head_dim, 0.0f);
  }
  for (int s = 0; s < a.span_count; ++s) {
    const Span& span = a.spans[s];
    for (int first = 0; first < span.length; first += kPieceTokens) {
      const int n = std::min(kPieceTokens, span.length - first);
      const int* blocks = span.blocks + first / kBlockTokens;
      for (int t = 0; t < n; t += kBlockTokens) {
        const Element* keys = k + at(blocks[t / kBlockTokens]);
        int g = 0;
        for (; g + 4 <= a.group; g += 4) {
          block_scores<Cache, 4>(a.q + g * a.head_dim, a.head_dim, keys,
                                 scores + g * kPieceTokens + t);
        }
        for (; g < a.group; ++g) {
          block_scores<Cache, 1>(a.q + g * a.head_dim, a.head_dim, keys,
                                 scores + g * kPieceTokens + t);
        }
      }
      for (int g = 0; g < a.group; ++g) {
        float* p = scores + g * kPieceTokens;
        const float piece_top = *std::max_element(p, p + n);
        Vec sums = splat(0.0f);
        for (int t = 0; t < n; t += W) {
          if (t + W > n) std::fill(p + n, p + t + W, -std::numeric_limits<float>::infinity());
          const Vec e = exponential(load<Vec>(p + t) - splat(piece_top));
          store(p + t, e);
          sums = sums + e;
        }
        const float piece_weight = sum(sums);
        std::fill_n(values, a.head_dim, 0.0f);
        for (int t = 0; t < n; t += kBlockTokens) {
          block_values<Cache>(p + t, std::min(kBlockTokens, n - t), a.head_dim,
                              v + at(blocks[t / kBlockTokens]), values);
        }
        // Merge (max, weight, values) of the piece into what stands.
        float* out = a.out + g * a.head_dim;
        const float merged = std::max(top[g], piece_top);
        const float keep = std::exp(top[g] - merged);
        const float add = std::exp(piece_top - merged);
        for (int d = 0; d < a.head_dim; ++d) out[d] = out[d] * keep + values[d] * add;
        weight[g] = weight[g] * keep + piece_weight * add;
        top[g] = merged;
      }
    }
  }
  for (int g = 0; g < a.group; ++g) {
    const float scale = 1.0f / weight[g];
    float* out = a.out + g * a.head_dim;
    for (int d = 0; d < a.head_dim; ++d) out[d] *= scale;
  }
}

void attend(WeightType type, const Attend& a) {
  if (type == WeightType::kF32) attend_of<F32Cache>(a);
  else attend_of<Bf16Cache>(a);
}

}  // namespace

#define ANABRANCH_TABLE_(path) kernels_##path
#define ANABRANCH_TABLE(path) ANABRANCH_TABLE_(path)
extern const Kernels ANABRANCH_TABLE(ANABRANCH_PATH);
const Kernels ANABRANCH_TABLE(ANABRANCH_PATH) = {
    ANABRANCH_STRING(ANABRANCH_PATH), kStrip, pack, gemm, rms_norm, silu_multiply, attend};

}  // namespace anabranch
