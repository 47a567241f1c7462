// Attention of rows to chunks of their context (split-KV).
// Included by kernels.cpp only.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "number_formats.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/vectors.h"

namespace anabranch {
namespace {

// A chunk gives each query head (weighted V, maximum score, sum of weights). A row's partial
// results are merged in context order by log-sum-exp. A partial result depends only on the chunk
// and the query, not on the other queries of a tile, which read K and V together.

struct F32Cache {
  using Element = float;
  static Vec widened(const float* at) { return load<Vec>(at); }
  static float widened_one(float value) { return value; }
};
struct Bf16Cache {
  using Element = std::uint16_t;
  static Vec widened(const std::uint16_t* at) { return widen(at); }
  static float widened_one(std::uint16_t value) { return from_bf16(value); }
};

constexpr float kNone = -std::numeric_limits<float>::infinity();

/// scores[m, t] = q[m] · K[t] for the tokens of B blocks; q is [head_dim, M]. Prefetches the next
/// blocks' K and these blocks' V, because the hardware can't predict where blocks are.
template <class Cache, int M, int B>
void block_scores(const float* q, int head_dim, const typename Cache::Element* const (&k)[B],
                  const typename Cache::Element* const (&next_k)[B],
                  const typename Cache::Element* const (&v)[B], float* scores) {
  constexpr int V = kBlockTokens / W;
  Vec acc[M][B * V];
  for (auto& by_token : acc) {
    for (Vec& a : by_token) a = splat(0.0f);
  }
  // Values of d in a cache line, which is prefetched once. head_dim is even.
  constexpr int kLine = std::max<int>(1, 64 / (kBlockTokens * sizeof(typename Cache::Element)));
  for (int first = 0; first < head_dim; first += kLine) {
#pragma GCC unroll 4
    for (int b = 0; b < B; ++b) {
      __builtin_prefetch(next_k[b] + first * kBlockTokens);
      __builtin_prefetch(v[b] + first * kBlockTokens);
    }
#pragma GCC unroll 2
    for (int d = first; d < first + kLine; ++d) {
      Vec key[B * V];
#pragma GCC unroll 4
      for (int b = 0; b < B; ++b) {
#pragma GCC unroll 2
        for (int i = 0; i < V; ++i) {
          key[b * V + i] = Cache::widened(k[b] + d * kBlockTokens + i * W);
        }
      }
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m) {
        const Vec query = splat(q[d * M + m]);
#pragma GCC unroll 8
        for (int i = 0; i < B * V; ++i) acc[m][i] = fma(query, key[i], acc[m][i]);
      }
    }
  }
  for (int m = 0; m < M; ++m) {
    for (int i = 0; i < B * V; ++i) store(scores + m * kKvChunkTokens + i * W, acc[m][i]);
  }
}

/// The same for blocks [block, end), B at a time. Returns the first block that is left over.
template <class Cache, int M, int B, class At>
int scores_of_blocks(const float* q, int head_dim, At keys, At values, int block, int end,
                     float* scores) {
  for (; block + B <= end; block += B) {
    const typename Cache::Element *k[B], *next_k[B], *v[B];
    for (int b = 0; b < B; ++b) {
      k[b] = keys(block + b);
      next_k[b] = keys(std::min(block + B + b, end - 1));
      v[b] = values(block + b);
    }
    block_scores<Cache, M, B>(q, head_dim, k, next_k, v, scores + block * kBlockTokens);
  }
  return block;
}

/// out[m][d] += weights[m, t] · V[t, d] over tokens [first, last) of a chunk, for S vectors of d.
template <class Cache, int M, int S, class At>
void value_columns(const float* weights, int first, int last, int head_dim, At at, int d,
                   float* const* out) {
  Vec acc[M][S];
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
    for (int s = 0; s < S; ++s) acc[m][s] = load<Vec>(out[m] + d + s * W);
  }
  for (int t = first; t < last;) {
    const int end = std::min(last, (t / kBlockTokens + 1) * kBlockTokens);
    const auto* v = at(t / kBlockTokens) + t % kBlockTokens * head_dim + d;
    for (; t < end; ++t, v += head_dim) {
      Vec value[S];
#pragma GCC unroll 4
      for (int s = 0; s < S; ++s) value[s] = Cache::widened(v + s * W);
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m) {
        const Vec weight = splat(weights[m * kKvChunkTokens + t]);
#pragma GCC unroll 4
        for (int s = 0; s < S; ++s) acc[m][s] = fma(weight, value[s], acc[m][s]);
      }
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
    for (int s = 0; s < S; ++s) store(out[m] + d + s * W, acc[m][s]);
  }
}

template <class Cache, int M, class At>
void values(const float* weights, int first, int last, int head_dim, At at, float* const* out) {
  constexpr int S = M > 2 ? 2 : 4;  // enough independent sums to hide the latency
  int d = 0;
  for (; d + S * W <= head_dim; d += S * W) {
    value_columns<Cache, M, S>(weights, first, last, head_dim, at, d, out);
  }
  for (; d + W <= head_dim; d += W) {
    value_columns<Cache, M, 1>(weights, first, last, head_dim, at, d, out);
  }
  for (; d < head_dim; ++d) {
    for (int m = 0; m < M; ++m) {
      for (int t = first; t < last; ++t) {
        const auto* v = at(t / kBlockTokens) + t % kBlockTokens * head_dim;
        out[m][d] += weights[m * kKvChunkTokens + t] * Cache::widened_one(v[d]);
      }
    }
  }
}

/// Turns the scores of tokens [begin, end) into weights e^(score - largest), in place. Those from
/// `from` on, and after the end, become 0; `from` is a multiple of kBlockTokens.
inline void exponentiate(float* scores, int from, int begin, int end, float& largest,
                         float& weight) {
  const int padded = (end + W - 1) / W * W;
  std::fill(scores + from, scores + begin, kNone);
  std::fill(scores + end, scores + padded, kNone);
  Vec top = splat(kNone);
  for (int t = from; t < padded; t += W) {
    top = larger(load<Vec>(scores + t), top);
  }
  float lanes[W];
  store(lanes, top);
  largest = *std::max_element(lanes, lanes + W);
  if (largest == kNone) {  // all scores are -inf; -inf - -inf would be NaN
    std::fill(scores + from, scores + padded, 0.0f);
    weight = 0;
    return;
  }
  Vec sums = splat(0.0f);
  for (int t = from; t < padded; t += W) {
    const Vec e = exponential(load<Vec>(scores + t) - splat(largest));
    store(scores + t, e);
    sums = sums + e;
  }
  weight = sum(sums);
}

/// Attends to a chunk with M query heads, counted over all rows from `first` on.
template <class Cache, int M>
void tile_of_queries(const AttendChunk& p, int first) {
  using Element = typename Cache::Element;
  const size_t size = static_cast<size_t>(kBlockTokens) * p.head_dim;
  const auto in = [&](const std::byte* cache) {
    return [&p, size, at = reinterpret_cast<const Element*>(cache)](int index) {
      return at + (static_cast<size_t>(p.blocks[index]) * p.kv_heads + p.kv_head) * size;
    };
  };
  const auto keys = in(p.k), values_at = in(p.v);
  float* scores = p.scratch;               // [M, kKvChunkTokens]
  float* q = scores + M * kKvChunkTokens;  // [head_dim, M]
  float* out[M];
  float* tail[M];
  int begin[M], end[M];
  for (int m = 0; m < M; ++m) {
    const ChunkQuery& row = p.rows[(first + m) / p.group];
    const int head = (first + m) % p.group;
    const float* from = row.q + static_cast<size_t>(head) * p.head_dim;
    for (int d = 0; d < p.head_dim; ++d) q[d * M + m] = from[d];
    out[m] = row.partial + static_cast<size_t>(head) * p.head_dim;
    tail[m] = row.partial + static_cast<size_t>(p.group) * p.head_dim + 2 * head;
    begin[m] = row.begin;
    end[m] = row.tokens;
  }
  const int from = *std::min_element(begin, begin + M) / kBlockTokens * kBlockTokens;
  const int longest = *std::max_element(end, end + M);
  // Few queries by one block have too few independent sums to keep the FMA units busy.
  constexpr int kSums = M * (kBlockTokens / W), B = kSums == 1 ? 4 : kSums < 5 ? 2 : 1;
  int block = from / kBlockTokens;
  const int last_block = (longest + kBlockTokens - 1) / kBlockTokens;
  block = scores_of_blocks<Cache, M, B>(q, p.head_dim, keys, values_at, block, last_block, scores);
  scores_of_blocks<Cache, M, 1>(q, p.head_dim, keys, values_at, block, last_block, scores);
  for (size_t line = 0; p.next && line < size * sizeof(Element); line += 64) {
    __builtin_prefetch(p.next + line);
  }
  for (int m = 0; m < M; ++m) {
    exponentiate(scores + m * kKvChunkTokens, from, begin[m], end[m], tail[m][0], tail[m][1]);
    std::fill_n(out[m], p.head_dim, 0.0f);
  }
  // The tokens that all queries see are added together, those before and after them for each query
  // on its own: each query adds its tokens in order.
  const int common_end = *std::min_element(end, end + M);
  const int common = std::min(*std::max_element(begin, begin + M), common_end);
  const auto add_own = [&](int m, int first_token, int last_token) {
    if (first_token >= last_token) return;
    values<Cache, 1>(scores + m * kKvChunkTokens, first_token, last_token, p.head_dim, values_at,
                     out + m);
  };
  for (int m = 0; m < M; ++m) add_own(m, begin[m], std::min(common, end[m]));
  if (common < common_end) values<Cache, M>(scores, common, common_end, p.head_dim, values_at, out);
  for (int m = 0; m < M; ++m) add_own(m, std::max(common_end, begin[m]), end[m]);
}

/// Query heads of a tile: with two vectors of sums each they fill the registers.
constexpr int kTileQueries = kBlockTokens / W > 1 ? kMaxQueriesPerItem / 2 : kMaxQueriesPerItem;

template <class Cache, int M = kTileQueries>
void tile_of_queries(const AttendChunk& p, int first, int queries) {
  if constexpr (M > 1) {
    if (queries < M) return tile_of_queries<Cache, M - 1>(p, first, queries);
  }
  tile_of_queries<Cache, M>(p, first);
}

void attend(WeightType type, const AttendChunk& p) {
  const int queries = p.row_count * p.group;
  const int tiles = (queries + kTileQueries - 1) / kTileQueries;  // of nearly equal size
  for (int tile = 0; tile < tiles; ++tile) {
    const int first = queries * tile / tiles;
    const int count = queries * (tile + 1) / tiles - first;
    if (type == WeightType::kF32)
      tile_of_queries<F32Cache>(p, first, count);
    else
      tile_of_queries<Bf16Cache>(p, first, count);
  }
}

void merge(const Merge& m) {
  float top = kNone, weight = 0;
  std::fill_n(m.out, m.head_dim, 0.0f);
  for (int chunk = 0; chunk < m.chunks; ++chunk) {
    const float* values = m.values + chunk * m.stride;
    const float chunk_top = m.weights[chunk * m.stride];
    if (chunk_top == kNone) continue;
    const float merged = std::max(top, chunk_top);
    const float keep = top == merged ? 1.0f : std::exp(top - merged);
    const float add = chunk_top == merged ? 1.0f : std::exp(chunk_top - merged);
    for (int d = 0; d < m.head_dim; ++d) m.out[d] = m.out[d] * keep + values[d] * add;
    weight = weight * keep + m.weights[chunk * m.stride + 1] * add;
    top = merged;
  }
  const float scale = weight == 0 ? 0 : 1.0f / weight;
  for (int d = 0; d < m.head_dim; ++d) m.out[d] *= scale;
}

}  // namespace
}  // namespace anabranch
