// Attention of one row over its context.
// Part of each copy of kernels.cpp, and of nothing else.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "../numbers.h"
#include "kernels.h"
#include "vectors.h"

namespace anabranch {
namespace {

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
}  // namespace anabranch
