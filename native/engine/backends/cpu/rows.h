// Operations on one row: norms and activations.
// Included by kernels.cpp only.
#pragma once

#include <algorithm>
#include <cmath>

#include "backends/cpu/vectors.h"

namespace anabranch {
namespace {

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
    // silu(g) = g / (1 + e^-g), computed with e^-|g| so that it does not overflow.
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

}  // namespace
}  // namespace anabranch
