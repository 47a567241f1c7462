// Products with the narrow matrices of a LoRA adapter, in fp32.
// Included by kernels.cpp only.
#pragma once

#include <algorithm>

#include "backends/cpu/vectors.h"

namespace anabranch {
namespace {

/// `count` values from `at`, then zeros.
inline Vec load_some(const float* at, int count) {
  float padded[W] = {};
  std::copy(at, at + count, padded);
  return load<Vec>(padded);
}

void project(const float* x, const float* a, int k, int count, float* out) {
  constexpr int kSums = 4;  // independent, to keep the FMA units busy
  for (int row = 0; row < count; ++row, a += k) {
    Vec sums[kSums] = {};
    int i = 0;
    for (; i + kSums * W <= k; i += kSums * W) {
      for (int s = 0; s < kSums; ++s) {
        sums[s] = fma(load<Vec>(x + i + s * W), load<Vec>(a + i + s * W), sums[s]);
      }
    }
    for (; i + W <= k; i += W) sums[0] = fma(load<Vec>(x + i), load<Vec>(a + i), sums[0]);
    if (i < k) sums[1] = fma(load_some(x + i, k - i), load_some(a + i, k - i), sums[1]);
    out[row] = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  }
}

void expand(const float* t, int rank, const float* b, std::ptrdiff_t stride, int n, float* out) {
  int j = 0;
  for (; j + W <= n; j += W) {
    Vec total = load<Vec>(out + j);
    for (int r = 0; r < rank; ++r) total = fma(splat(t[r]), load<Vec>(b + r * stride + j), total);
    store(out + j, total);
  }
  if (j == n) return;
  Vec total = load_some(out + j, n - j);
  for (int r = 0; r < rank; ++r) {
    total = fma(splat(t[r]), load_some(b + r * stride + j, n - j), total);
  }
  float padded[W];
  store(padded, total);
  std::copy(padded, padded + (n - j), out + j);
}

}  // namespace
}  // namespace anabranch
