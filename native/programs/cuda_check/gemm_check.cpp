// The GEMMs against plain arithmetic in double precision.
#include <algorithm>
#include <cmath>
#include <random>

#include "backends/cuda/kernels.h"
#include "cuda_check/checks.h"
#include "number_formats.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

// ---- quantization ------------------------------------------------------------------------------

/// The e4m3 number nearest to a value, the even one of two; beyond the range, the largest.
float nearest_e4m3(float value) {
  static const std::vector<float> numbers = [] {  // by code, which is also by size
    std::vector<float> out;
    for (int code = 0; code < 0x7f; ++code) {
      const int exponent = code >> 3, fraction = code & 7;
      out.push_back(exponent == 0 ? std::ldexp(static_cast<float>(fraction), -9)
                                  : std::ldexp(static_cast<float>(8 + fraction), exponent - 10));
    }
    return out;
  }();
  const float magnitude = std::abs(value);
  const auto above = std::lower_bound(numbers.begin(), numbers.end(), magnitude);
  if (above == numbers.begin()) return std::copysign(0.0f, value);
  if (above == numbers.end()) return std::copysign(numbers.back(), value);
  const double up = double{*above} - magnitude, down = double{magnitude} - above[-1];
  const bool even_above = (above - numbers.begin()) % 2 == 0;
  return std::copysign(up < down || (up == down && even_above) ? *above : above[-1], value);
}

/// Replaces a row of k values by what weights of a type store of it.
void round_to_type(WeightType type, float* row, size_t k) {
  for (size_t first = 0; first < k; first += kQuantGroup) {
    float* const group = row + first;
    const size_t n = std::min<size_t>(kQuantGroup, k - first);
    float max_magnitude = 0;
    for (size_t i = 0; i < n; ++i) max_magnitude = std::max(max_magnitude, std::abs(group[i]));
    const float scale =
        from_bf16(to_bf16(max_magnitude / (type == WeightType::kInt8 ? 127.0f : 448.0f)));
    for (size_t i = 0; i < n; ++i) {
      if (type == WeightType::kBF16)
        group[i] = from_bf16(to_bf16(group[i]));
      else if (scale == 0)
        group[i] = 0;
      else if (type == WeightType::kFp8)
        group[i] = scale * nearest_e4m3(group[i] * (1 / scale));
      else
        group[i] =
            scale * std::min(127.0f, std::max(-127.0f, std::nearbyint(group[i] * (1 / scale))));
    }
  }
}

// ---- products ----------------------------------------------------------------------------------

/// A random product out (+)= x · wᵀ (+ bias), on the host and on the device.
struct GemmCase {
  int m, n, k;
  bool accumulate, bias;
  size_t depth;               // k, padded
  std::vector<Bf16> x;        // [m, depth]
  std::vector<float> w;       // [n padded, depth], rounded to the weight type
  std::vector<float> biases;  // [n]
  std::vector<float> out;     // [m, n], before the product

  Array<Bf16> device_x, bf16_weights, scales;
  Array<std::uint8_t> byte_weights;
  Array<float> device_biases, device_out, workspace;
  Gemm args;

  GemmCase(WeightType type, int m, int n, int k, bool accumulate, bool bias)
      : m(m), n(n), k(k), accumulate(accumulate), bias(bias), depth(round_up(k, kQuantGroup)) {
    std::mt19937 random(static_cast<unsigned>(m * 1000 + n + k));
    std::normal_distribution<float> normal;
    const size_t rows = round_up(n, kPanel);
    x.resize(m * depth);
    w.resize(rows * depth);
    biases.resize(n);
    out.resize(static_cast<size_t>(m) * n);
    for (int i = 0; i < m; ++i) {
      for (int j = 0; j < k; ++j) x[i * depth + j] = to_bf16(normal(random));
    }
    for (int i = 0; i < n; ++i) {
      // Quantization groups of all magnitudes, some of zeros, and values far below their group's
      // largest.
      for (int j = 0; j < k; ++j) {
        const float magnitude = i % 5 == 4 ? 0 : std::ldexp(1.0f, (i + j / kQuantGroup) % 7 - 3);
        w[i * depth + j] = normal(random) * magnitude * (j % 3 ? 1 : 0.001f);
      }
      biases[i] = normal(random);
    }
    for (float& value : out) value = accumulate ? normal(random) : NAN;
    upload(type, rows);
  }

  void upload(WeightType type, size_t rows) {
    const auto exact_weights = to_device(w);
    for (int i = 0; i < n; ++i) round_to_type(type, w.data() + i * depth, depth);
    PackedWeights weights{type, nullptr, nullptr, n, static_cast<int>(depth)};
    if (type == WeightType::kBF16) {
      std::vector<Bf16> halves(w.size());
      for (size_t i = 0; i < w.size(); ++i) halves[i] = to_bf16(w[i]);
      bf16_weights = to_device(halves);
      weights.values = bf16_weights.data();
    } else {
      byte_weights = Array<std::uint8_t>(rows * depth, "a check");
      scales = Array<Bf16>(rows * depth / kQuantGroup, "a check");
      // In two calls, as for large layers.
      const int half = static_cast<int>(rows) / 2;
      for (const auto& [first, count] :
           {std::pair{0, half}, {half, static_cast<int>(rows) - half}}) {
        quantize({type, exact_weights.data() + first * depth, count, first, static_cast<int>(depth),
                  byte_weights.data(), scales.data()},
                 Queue{});
      }
      check(cudaStreamSynchronize(cudaStream_t{}), "quantizing");
      weights.values = byte_weights.data();
      weights.scales = scales.data();
    }
    device_x = to_device(x);
    device_biases = to_device(biases);
    device_out = to_device(out);
    workspace = Array<float>(m > kMaxSkinnyRows ? kSplitKWorkspace : 0, "a check");
    args.x = device_x.data();
    args.m = m;
    args.w = weights;
    args.bias = bias ? device_biases.data() : nullptr;
    args.out = device_out.data();
    args.accumulate = accumulate;
    args.split_k_workspace = workspace.data();
  }

  std::vector<float> product() const {
    gemm(args, Queue{});
    check(cudaGetLastError(), "gemm");
    return to_host(device_out);
  }
};

/// What is wrong with the product `got`.
std::string product_wrong(const GemmCase& c, const std::vector<float>& got) {
  // The tiled GEMM rounds 8-bit weights to bf16 after scaling them.
  const double tolerance =
      c.args.w.type == WeightType::kBF16 || c.m <= kMaxSkinnyRows ? 1e-5 : 0x1p-8;
  for (int i = 0; i < c.m; ++i) {
    for (int j = 0; j < c.n; ++j) {
      const size_t at = static_cast<size_t>(i) * c.n + j;
      double want = (c.accumulate ? c.out[at] : 0) + (c.bias ? c.biases[j] : 0),
             magnitude = std::abs(want);
      for (int d = 0; d < c.k; ++d) {
        const double term = double{from_bf16(c.x[i * c.depth + d])} * c.w[j * c.depth + d];
        want += term;
        magnitude += std::abs(term);
      }
      if (!(std::abs(got[at] - want) <= tolerance * magnitude)) {
        return std::to_string(c.m) + " by " + std::to_string(c.n) + " by " + std::to_string(c.k) +
               " at " + std::to_string(i) + ", " + std::to_string(j) + ": " +
               std::to_string(got[at]) + ", expected " + std::to_string(want);
      }
    }
  }
  return "";
}

/// What is wrong with silu(gate) · up, fused into the GEMM and by the kernel that follows cuBLASLt,
/// given the plain product `got` of the same inputs.
std::string gated_output_wrong(GemmCase& c, const std::vector<float>& got) {
  std::vector<Bf16> rounded(got.size());
  for (size_t at = 0; at < got.size(); ++at) rounded[at] = to_bf16(got[at]);
  const size_t width = round_up(c.n / 2, kQuantGroup);
  const auto device_rounded = to_device(rounded);
  const auto device_fused = to_device(std::vector<Bf16>(c.m * width));
  const auto device_separate = to_device(std::vector<Bf16>(c.m * width));
  c.args.gated_out = device_fused.data();
  gemm(c.args, Queue{});
  activate_and_mul(Activation::kSilu, device_rounded.data(), c.m, c.n, device_separate.data(),
                   Queue{});
  check(cudaGetLastError(), "gated output");
  const auto fused = to_host(device_fused), separate = to_host(device_separate);
  const auto differs = [&](Bf16 value, float gate, float up) {
    const double want = gate / (1 + std::exp(-double{gate})) * up;
    return !(std::abs(from_bf16(value) - want) <= 0x1p-7 * std::abs(want) + 1e-30);
  };
  for (size_t at = 0; at < fused.size(); ++at) {
    const size_t row = at / width, i = at % width;
    const size_t gate = row * c.n + i / kHalfPanel * kPanel + i % kHalfPanel,
                 up = gate + kHalfPanel;
    const bool wrong =
        i < static_cast<size_t>(c.n) / 2
            ? differs(fused[at], got[gate], got[up]) ||
                  differs(separate[at], from_bf16(rounded[gate]), from_bf16(rounded[up]))
            : fused[at] != 0 || separate[at] != 0;
    if (wrong) return "gated output " + std::to_string(i) + " of row " + std::to_string(row);
  }
  return "";
}

}  // namespace

void check_gemm(WeightType type, Report report) {
  const std::vector<int> rows = kEmulated
                                    ? std::vector{1, 3, 9, 17, 33, 65, 130}
                                    : std::vector{1, 3, 8, 9, 16, 17, 32, 33, 64, 65, 128, 130};
  // The last two have so many panels that fewer warps share each, and blocks take several.
  const std::pair<int, int> shapes[] = {{16, 32},   {20, 450},  {40, 896},  {130, 72},
                                        {257, 160}, {2056, 72}, {4104, 300}};
  std::string wrong;
  for (int m : rows) {
    for (const auto& [n, k] : shapes) {
      if ((kEmulated && m > 64 && n * k > 10000) || !wrong.empty()) continue;
      GemmCase gemm_case(type, m, n, k, m % 2 == 0, m % 3 == 0);
      const std::vector<float> got = gemm_case.product();
      if (!gemm_case.accumulate && n % kPanel == 0) wrong = gated_output_wrong(gemm_case, got);
      if (wrong.empty()) wrong = product_wrong(gemm_case, got);
    }
  }
  report(kName + name_of(type) + " gemm", wrong);
}

}  // namespace anabranch::ANABRANCH_CUDA
