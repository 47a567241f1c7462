// Norms, activations, and activations in bf16 pairs.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <string>
#include <vector>

#include "check/checks.h"
#include "check/packed_weights.h"
#include "check/values.h"

namespace anabranch {
void check_rms_norm(const Kernels& kernels) {
  std::string wrong;
  for (int n : {1, 2, 15, 16, 17, 64, 65, 896, 1001}) {
    Numbers numbers(n);
    const auto x = numbers.list(n, 5), weight = numbers.list(n);
    std::vector<float> out(n), in_place = x;
    kernels.rms_norm(x.data(), weight.data(), n, 1e-6f, out.data());
    kernels.rms_norm(in_place.data(), weight.data(), n, 1e-6f, in_place.data());
    double squares = 0;
    for (float value : x) squares += static_cast<double>(value) * value;
    const double scale = 1 / std::sqrt(squares / n + 1e-6);
    for (int i = 0; i < n; ++i) {
      const double want = x[i] * scale * weight[i];
      if (!(std::abs(out[i] - want) <= 1e-6 * std::abs(want) + 1e-12)) {
        wrong = mismatch("out", n, i, out[i], want);
      }
    }
    if (!same(out, in_place)) wrong = "the result differs in place";
  }
  report(std::string(kernels.name) + " rms_norm", wrong);
}

void check_bf16_pairs(const Kernels& kernels) {
  constexpr int k = 65, n = 131, m = 14;
  Numbers numbers(5);
  const int width = kernels.panel_width, panels = (n + width - 1) / width;
  const PackedWeights gate_up =
      make_weights(kernels, WeightType::kBF16, 2 * panels * width, k, numbers);
  const PackedWeights down = make_weights(kernels, WeightType::kBF16, 40, n, numbers);
  const auto x = numbers.list(static_cast<size_t>(m) * k),
             bias = numbers.list(gate_up.panels * width);
  std::vector<std::uint32_t> scratch(gemm_scratch(n));
  const auto run = [&](bool pairs) {
    const int stride = panels * width / (pairs ? 2 : 1);
    std::vector<float> gated(static_cast<size_t>(m) * stride), out(static_cast<size_t>(m) * 40);
    Gemm g;
    g.x = x.data();
    g.ldx = g.k = k;
    g.m = m;
    g.format = WeightType::kBF16;
    g.w = gate_up.packed.data();
    g.n = n;
    g.last = gate_up.panels;
    g.bias = bias.data();
    g.gated = true;
    g.scratch = scratch.data();
    g.out = gated.data();
    g.out_pairs = pairs;
    g.ldo = stride;
    kernels.gemm(g);
    Gemm d;
    d.x = gated.data();
    d.x_pairs = pairs;
    d.ldx = stride;
    d.m = m;
    d.k = n;
    d.format = WeightType::kBF16;
    d.w = down.packed.data();
    d.n = d.ldo = 40;
    d.last = down.panels;
    d.scratch = scratch.data();
    d.out = out.data();
    kernels.gemm(d);
    return out;
  };
  const bool equal = same(run(true), run(false));
  report(std::string(kernels.name) + " pairs",
         equal ? "" : "the bits differ from fp32 between the products");
}

namespace {

/// In double precision, and how far a correctly rounded argument of the exponential may be off.
struct Reference {
  double value, tolerance;
};
Reference silu(double g) {
  const double value = g < -700 ? 0 : g / (1 + std::exp(-g));
  return {value, 5e-7 * std::abs(value)};
}
Reference gelu_tanh(double g) {
  const double u = std::sqrt(2 / std::numbers::pi) * (g + 0.044715 * g * g * g);
  const double value = u < -350 ? 0 : g / (1 + std::exp(-2 * u));
  return {value, 5e-7 * std::abs(value) * (1 + std::min(std::abs(u), 50.0))};
}

/// Tests the exponential through a gated product with gates of every size and ups of 1.
void check_activation(const Kernels& kernels, Activation activation, const std::string& name,
                      Reference (*reference)(double)) {
  std::string wrong;
  std::vector<float> gates;
  for (int i = -2000; i <= 2000; ++i) gates.push_back(static_cast<float>(i) * 0.05f);
  for (float value : {-1e30f, -1e4f, -88.0f, -87.0f, -86.99f, -0.0f, 1e-30f, 87.0f, 88.8f, 1e30f}) {
    gates.push_back(value);
  }
  const int m = static_cast<int>(gates.size()), width = kernels.panel_width;
  std::vector<std::byte> packed(2 * panel_bytes(WeightType::kF32, width, 1));
  std::vector<float> weights(2 * width), bias(2 * width);
  std::fill_n(weights.begin(), width, 1.0f);
  std::fill_n(bias.begin() + width, width, 1.0f);
  for (int i = 0; i < 2; ++i) {
    kernels.pack(WeightType::kF32, &weights[i * width], 1, packed.data() + i * packed.size() / 2);
  }
  std::vector<std::uint32_t> scratch(gemm_scratch(1));
  const auto run = [&](int n) {
    std::vector<float> out(static_cast<size_t>(m) * n);
    Gemm g;
    g.x = gates.data();
    g.ldx = g.k = 1;
    g.m = m;
    g.w = packed.data();
    g.n = n;
    g.last = 2;
    g.bias = bias.data();
    g.gated = true;
    g.activation = activation;
    g.scratch = scratch.data();
    g.out = out.data();
    g.ldo = n;
    kernels.gemm(g);
    return out;
  };
  const auto one = run(1), whole = run(width);
  for (int i = 0; i < m; ++i) {
    const Reference want = reference(gates[i]);
    if (!(std::abs(one[i] - want.value) <= want.tolerance + 1e-35))
      wrong = mismatch(name.c_str(), i, 0, one[i], want.value);
    for (int j = 0; j < width; ++j) {
      if (std::memcmp(&one[i], &whole[static_cast<size_t>(i) * width + j], 4) != 0) {
        wrong = "a value alone differs from the same value in a vector";
      }
    }
  }
  report(std::string(kernels.name) + " " + name, wrong);
}

}  // namespace

void check_activations(const Kernels& kernels) {
  check_activation(kernels, Activation::kSilu, "silu", silu);
  check_activation(kernels, Activation::kGeluTanh, "gelu_tanh", gelu_tanh);
}

}  // namespace anabranch
