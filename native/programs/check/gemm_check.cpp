// Matrix products: values against double precision, and bits that don't depend on other rows, on
// shares of threads, or (int8) on the code path.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "check/checks.h"
#include "check/packed_weights.h"
#include "check/values.h"

namespace anabranch {
namespace {

/// Rounds rows of k to what int8 stores: multiples, up to 127, of one bf16 scale per group.
void quantize(std::vector<float>& values, int k) {
  for (size_t row = 0; row < values.size(); row += k) {
    for (int first = 0; first < k; first += kInt8Group) {
      const int n = std::min(kInt8Group, k - first);
      float* at = values.data() + row + first;
      float max = 0;
      for (int i = 0; i < n; ++i) max = std::max(max, std::abs(at[i]));
      const float scale = stored(WeightType::kBF16, max / 127.0f);
      for (int i = 0; i < n; ++i) {
        const float whole = std::nearbyint(at[i] * (1.0f / scale));
        at[i] = scale * std::min(127.0f, std::max(-127.0f, whole));
      }
    }
  }
}

/// Random rows of four bits, and their values.
std::vector<FourBitRow> four_bit_rows(const FourBitFormat& format, int n, int k, Numbers& numbers,
                                      std::vector<float>& values) {
  std::vector<FourBitRow> out(n);
  for (int row = 0; row < n; ++row) {
    out[row].resize(format, k);
    for (int group = 0; group < format.groups(k); ++group) {
      out[row].scales[group] = to_fp16(numbers() / 8);
      out[row].offsets[group] = to_fp16(
          format.offset == FourBitOffset::kZeroPoint ? std::floor((numbers() + 1) * 8) : numbers());
    }
    for (int i = 0; i < k; ++i) {
      const int group = i / format.group;
      const float scale = from_fp16(out[row].scales[group]);
      const float stored = from_fp16(out[row].offsets[group]);
      const float q = std::floor((numbers() + 1) * 8);
      out[row].q[i] = static_cast<std::uint8_t>(q);
      values[static_cast<size_t>(row) * k + i] =
          scale * q + (format.offset == FourBitOffset::kEight ? scale * -8
                       : format.offset == FourBitOffset::kMin ? stored
                                                              : scale * -stored);
    }
  }
  return out;
}

/// Rounds inputs as products with int4 weights and those beside them do: to 1/127 of the largest
/// of 32.
void round_inputs(std::vector<float>& x) {
  for (size_t first = 0; first < x.size(); first += kMinFourBitGroup) {
    const size_t last = std::min(x.size(), first + kMinFourBitGroup);
    float max = 0;
    for (size_t i = first; i < last; ++i) max = std::max(max, std::abs(x[i]));
    for (size_t i = first; i < last && max > 0; ++i) {
      x[i] = std::nearbyint(x[i] * (127.0f / max)) * (max / 127.0f);
    }
  }
}

/// Bits that name the format.
int key_of(const PanelFormat& format) {
  return static_cast<int>(format.type) + 8 * format.byte_inputs +
         16 * static_cast<int>(format.four_bit.offset) + 64 * format.four_bit.group;
}

bool quantizes_inputs(const PanelFormat& format) {
  return format.type == WeightType::kInt8 || format.type == WeightType::kInt4;
}

std::string title(const PanelFormat& format) {
  if (format.byte_inputs) return "int8 beside int4";
  if (format.type != WeightType::kInt4) return name_of(format.type);
  static constexpr const char* offsets[] = {"", " with minima", " with zero points"};
  return "int4 by " + std::to_string(format.four_bit.group) +
         offsets[static_cast<int>(format.four_bit.offset)];
}

}  // namespace

PackedWeights make_weights(const Kernels& kernels, const PanelFormat& format, int n, int k,
                           Numbers& numbers) {
  const int width = kernels.panel_width;
  PackedWeights out;
  out.panels = (n + width - 1) / width;
  const size_t bytes = panel_bytes(format, width, k);
  out.packed.resize(bytes * out.panels);
  if (format.type == WeightType::kInt4) {
    out.values.resize(static_cast<size_t>(n) * k);
    auto rows = four_bit_rows(format.four_bit, n, k, numbers, out.values);
    rows.resize(static_cast<size_t>(out.panels) * width);
    for (FourBitRow& row : rows) row.resize(format.four_bit, k);
    for (int panel = 0; panel < out.panels; ++panel) {
      kernels.pack_four_bit(format.four_bit, rows.data() + static_cast<size_t>(panel) * width, k,
                            out.packed.data() + bytes * panel);
    }
    return out;
  }
  out.values = numbers.list(static_cast<size_t>(n) * k);
  std::vector<float> original = out.values;
  if (format.type == WeightType::kInt8)
    quantize(out.values, k);
  else
    for (float& value : out.values) value = stored(format.type, value);
  std::vector<float> rows(static_cast<size_t>(width) * k);
  for (int panel = 0; panel < out.panels; ++panel) {
    std::fill(rows.begin(), rows.end(), 0.0f);
    for (int j = 0; j < width && panel * width + j < n; ++j) {
      std::copy_n(original.begin() + static_cast<size_t>(panel * width + j) * k, k,
                  rows.begin() + static_cast<size_t>(j) * k);
    }
    kernels.pack(format, rows.data(), k, out.packed.data() + bytes * panel);
  }
  return out;
}

namespace {

/// What a product does besides multiplying.
struct GemmMode {
  bool accumulate, norm, bias, gated;
};

std::string gemm_wrong(const Kernels& kernels, const PanelFormat& format, int n, int k,
                       int max_rows, GemmMode mode) {
  Numbers numbers(static_cast<std::uint64_t>(n) * 1000 + k);
  const int width = kernels.panel_width;
  // The panels of a gated product are pairs, all complete here.
  const int outputs = mode.gated ? (n + width - 1) / width * 2 * width : n;
  const PackedWeights weights = make_weights(kernels, format, outputs, k, numbers);
  auto x = numbers.list(static_cast<size_t>(max_rows) * k);
  // Kernels that multiply bf16 pairs round both sides.
  const bool rounds = format.type == WeightType::kBF16 && kernels.pairs;
  if (rounds && !mode.norm) {
    for (float& value : x) value = stored(format.type, value);
  }
  const auto before = numbers.list(static_cast<size_t>(max_rows) * n);
  const auto norm = numbers.list(k),
             bias = numbers.list(static_cast<size_t>(weights.panels) * width);
  std::vector<std::uint32_t> scratch(gemm_scratch(k));
  const auto run = [&](int row, int m, int first, int last, std::vector<float>& out) {
    Gemm g;
    g.x = x.data() + static_cast<size_t>(row) * k;
    g.ldx = k;
    g.m = m;
    g.k = k;
    g.norm = mode.norm ? norm.data() : nullptr;
    g.epsilon = 1e-6f;
    g.format = format;
    g.w = weights.packed.data();
    g.n = n;
    g.first = first;
    g.last = last;
    g.bias = mode.bias ? bias.data() : nullptr;
    g.accumulate = mode.accumulate;
    g.gated = mode.gated;
    g.scratch = scratch.data();
    g.out = out.data();
    g.ldo = n;
    kernels.gemm(g);
  };
  // Each row alone is the reference for bits, double precision the reference for values.
  std::vector<float> alone(static_cast<size_t>(max_rows) * n);
  for (int i = 0; i < max_rows; ++i) {
    std::vector<float> row(before.begin() + static_cast<size_t>(i) * n,
                           before.begin() + static_cast<size_t>(i + 1) * n);
    run(i, 1, 0, weights.panels, row);
    std::copy(row.begin(), row.end(), alone.begin() + static_cast<size_t>(i) * n);
    std::vector<float> in(x.begin() + static_cast<size_t>(i) * k,
                          x.begin() + static_cast<size_t>(i + 1) * k);
    if (mode.norm) kernels.rms_norm(in.data(), norm.data(), k, 1e-6f, in.data());
    if (rounds) {
      for (float& value : in) value = stored(format.type, value);
    }
    const bool byte_inputs = format.byte_inputs || format.type == WeightType::kInt4;
    if (byte_inputs) round_inputs(in);
    // One output of the product, and its error bound.
    const auto product = [&](int output) {
      double sum = mode.bias ? bias[output] : 0, size = std::abs(sum);
      for (int c = 0; c < k; ++c) {
        const double term =
            static_cast<double>(in[c]) * weights.values[static_cast<size_t>(output) * k + c];
        sum += term;
        size += std::abs(term);
      }
      // Inputs of 16 bits are rounded to 1/32767 or less of their group's maximum.
      return std::pair(sum, format.type == WeightType::kInt8 && !byte_inputs
                                ? 4e-5 * std::sqrt(k) * (mode.norm ? 4 : 1)
                                : 1e-6 * size);
    };
    for (int j = 0; j < n; ++j) {
      auto [want, near] = product(mode.gated ? j / width * 2 * width + j % width : j);
      if (mode.gated) {
        const auto [up, up_near] = product((j / width * 2 + 1) * width + j % width);
        const double silu = want / (1 + std::exp(-want));
        // The slope of SiLU is at most 1.1.
        near = 1.1 * near * std::abs(up) + up_near * std::abs(silu) + 1e-6 * std::abs(silu * up);
        want = silu * up;
      }
      if (mode.accumulate) want += before[static_cast<size_t>(i) * n + j];
      if (!(std::abs(row[j] - want) <= near + 1e-6 * std::abs(want) + 1e-30)) {
        return mismatch("out", i, j, row[j], want);
      }
    }
  }
  // Integer sums are the same on every code path.
  static std::map<std::array<int, 5>, std::vector<float>> first_path;
  if (quantizes_inputs(format) && !mode.norm && !mode.gated &&
      !same(first_path.try_emplace({key_of(format), n, k, mode.accumulate, mode.bias}, alone)
                .first->second,
            alone)) {
    return "the bits differ from another code path's";
  }
  for (int m = 1; m <= max_rows; ++m) {
    std::vector<float> together(before.begin(), before.begin() + static_cast<size_t>(m) * n);
    run(0, m, 0, weights.panels, together);
    std::vector<float> split(before.begin(), before.begin() + static_cast<size_t>(m) * n);
    const int half = weights.panels / 4 * 2;
    run(0, m, half, weights.panels, split);
    run(0, m, 0, half, split);
    const std::vector<float> want(alone.begin(), alone.begin() + static_cast<size_t>(m) * n);
    if (!same(together, want)) return std::to_string(m) + " rows differ from the rows one by one";
    if (!same(split, want)) return std::to_string(m) + " rows differ if threads share the panels";
  }
  return "";
}

}  // namespace

void check_gemm(const Kernels& kernels, const PanelFormat& format) {
  std::string wrong;
  for (const auto& [n, k, max_rows] : std::vector<std::array<int, 3>>{{1, 1, 13},
                                                                      {7, 3, 13},
                                                                      {33, 65, 13},
                                                                      {64, 64, 13},
                                                                      {131, 257, 13},
                                                                      {40, 1100, 26},
                                                                      {300, 96, 110}}) {
    // As layers use it: q, K and V; what is added to the residual stream; gate and up; the head.
    for (const GemmMode mode :
         {GemmMode{false, true, true, false}, GemmMode{true, false, true, false},
          GemmMode{true, false, false, false}, GemmMode{false, true, true, true},
          GemmMode{false, false, false, true}, GemmMode{false, false, false, false}}) {
      if (!wrong.empty()) continue;
      wrong = gemm_wrong(kernels, format, n, k, max_rows, mode);
      if (!wrong.empty()) {
        wrong = "n " + std::to_string(n) + ", k " + std::to_string(k) +
                (mode.norm ? ", norm" : "") + (mode.bias ? ", bias" : "") +
                (mode.gated ? ", gated: " : ": ") + wrong;
      }
    }
  }
  report(std::string(kernels.name) + " " + title(format) + " gemm", wrong);
}

}  // namespace anabranch
