// The GEMMs against plain arithmetic in double precision.
#include <algorithm>
#include <cmath>
#include <random>

#include "backends/cuda/kernels.h"
#include "backends/cuda/weights.h"
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

const char* name_of(FourBitOffset offset) {
  switch (offset) {
    case FourBitOffset::kEight:
      return "no offsets";
    case FourBitOffset::kMin:
      return "minima";
    case FourBitOffset::kZeroPoint:
      return "zero points";
  }
  return "";
}

/// A random row of k values in four bits, with some groups of zeros.
FourBitRow random_four_bit_row(const FourBitFormat& format, int k, std::mt19937& random) {
  std::normal_distribution<float> normal;
  FourBitRow out;
  out.resize(format, k);
  for (std::uint8_t& q : out.q) q = static_cast<std::uint8_t>(random() % 16);
  for (size_t group = 0; group < out.scales.size(); ++group) {
    const float scale = random() % 5 == 4 ? 0 : normal(random) * 0.1f;
    out.scales[group] = to_fp16(scale);
    // GPTQ's zero points go up to 16.
    const bool is_min = format.offset == FourBitOffset::kMin;
    out.offsets[group] =
        to_fp16(is_min ? -8 * scale * std::abs(normal(random)) : static_cast<float>(random() % 17));
  }
  return out;
}

/// Writes the values that a row stands for.
void to_float(const FourBitFormat& format, const FourBitRow& row, float* out) {
  for (size_t i = 0; i < row.q.size(); ++i) {
    const auto group = i / static_cast<size_t>(format.group);
    const float scale = from_fp16(row.scales[group]), stored = from_fp16(row.offsets[group]);
    const float offset = format.offset == FourBitOffset::kEight ? -8 * scale
                         : format.offset == FourBitOffset::kMin ? stored
                                                                : -scale * stored;
    out[i] = scale * static_cast<float>(row.q[i]) + offset;
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

  Array<Bf16> device_x, bf16_weights, scales, widened;
  Array<std::uint8_t> byte_weights;
  Array<std::uint32_t> four_bit_weights;
  Array<float> device_biases, device_out, workspace;
  Gemm args;

  GemmCase(WeightType type, const FourBitFormat& four_bit, int m, int n, int k, bool accumulate,
           bool bias)
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
    upload(type, four_bit, rows, random);
  }

  void upload(WeightType type, const FourBitFormat& four_bit, size_t rows, std::mt19937& random) {
    const auto exact_weights = to_device(w);
    PackedWeights weights{type, nullptr, nullptr, n, static_cast<int>(depth), four_bit};
    if (type == WeightType::kInt4) {
      std::vector<std::uint32_t> values(rows * depth / 8);
      std::vector<std::uint16_t> of_groups(count_scales(weights));
      for (int i = 0; i < n; ++i) {
        const FourBitRow row = random_four_bit_row(four_bit, k, random);
        to_float(four_bit, row, w.data() + i * depth);
        pack_four_bit_row(row, i, weights, values.data() + i * depth / 8, of_groups.data());
      }
      four_bit_weights = to_device(values);
      scales = to_device(of_groups);
      weights.values = four_bit_weights.data();
      weights.scales = scales.data();
    } else if (type == WeightType::kBF16) {
      for (int i = 0; i < n; ++i) round_to_type(type, w.data() + i * depth, depth);
      std::vector<Bf16> halves(w.size());
      for (size_t i = 0; i < w.size(); ++i) halves[i] = to_bf16(w[i]);
      bf16_weights = to_device(halves);
      weights.values = bf16_weights.data();
    } else {
      for (int i = 0; i < n; ++i) round_to_type(type, w.data() + i * depth, depth);
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
    // Some of the layers take several parts.
    widened = Array<Bf16>(m > kMaxSkinnyRows ? 5 * kPanel * depth : 0, "a check");
    args.widened = widened.data();
    args.widened_values = widened.count();
  }

  std::vector<float> product() const {
    gemm(args, Queue{});
    check(cudaGetLastError(), "gemm");
    return to_host(device_out);
  }
};

/// What is wrong with the product `got`.
std::string product_wrong(const GemmCase& c, const std::vector<float>& got) {
  // Widened weights have been rounded to bf16.
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
  c.args.gated_out = device_separate.data();
  activate_and_mul(c.args, device_rounded.data(), Queue{});
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

void check_gemm(WeightType type, const FourBitFormat& four_bit, Report report) {
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
      GemmCase gemm_case(type, four_bit, m, n, k, m % 2 == 0, m % 3 == 0);
      const std::vector<float> got = gemm_case.product();
      if (!gemm_case.accumulate && n % kPanel == 0) wrong = gated_output_wrong(gemm_case, got);
      if (wrong.empty()) wrong = product_wrong(gemm_case, got);
    }
  }
  std::string name = anabranch::name_of(type);
  if (type == WeightType::kInt4)
    name += " in groups of " + std::to_string(four_bit.group) + ", " + name_of(four_bit.offset);
  report(kName + name + " gemm", wrong);
}

}  // namespace anabranch::ANABRANCH_CUDA
