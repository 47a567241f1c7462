// Operations on one row: norms and activations.
// Included by kernels.cpp only.
#pragma once

#include <algorithm>
#include <cmath>

#include "backends/cpu/vectors.h"
#include "model/activation.h"

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

/// gate = gate · sigmoid(z) · up, where z = argument(gate).
template <class Argument>
void multiply_gated(float* gate, const float* up, int n, Argument argument) {
  const auto part = [&](Vec g, Vec u) {
    // sigmoid(z) = 1 / (1 + e^-z), computed with e^-|z| so that it does not overflow.
    const Vec z = argument(g);
    const Ints negative = z < splat(0.0f);
    const Vec e = exponential(negative ? z : -z);
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

/// gate = activation(gate) · up.
void multiply_activated(Activation activation, float* gate, const float* up, int n) {
  if (activation == Activation::kSilu) {
    return multiply_gated(gate, up, n, [](Vec g) { return g; });
  }
  multiply_gated(gate, up, n, [](Vec g) {
    return g * fma(g * g, splat(0.071354816f), splat(1.5957691f));  // 2 · sqrt(2 / pi) · …
  });
}

}  // namespace
}  // namespace anabranch
