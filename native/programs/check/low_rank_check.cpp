// The products with an adapter's matrices: values against double precision, and bits that don't
// depend on what a thread computes beside them.
#include <array>
#include <cmath>
#include <cstring>

#include "check/checks.h"
#include "check/values.h"
#include "number_formats.h"

namespace anabranch {
namespace {

constexpr int kRows = kLowRankRows;
using Lists = std::array<std::vector<float>, kRows>;

/// Values as an update holds them, and what they are then.
struct Stored {
  Stored(Numbers& numbers, size_t count, bool bf16) : values(numbers.list(count)) {
    bytes.resize(count * (bf16 ? 2 : 4));
    for (size_t i = 0; i < count; ++i) {
      if (!bf16) {
        std::memcpy(&bytes[i * 4], &values[i], 4);
        continue;
      }
      const std::uint16_t bits = to_bf16(values[i]);
      std::memcpy(&bytes[i * 2], &bits, 2);
      values[i] = from_bf16(bits);
    }
  }
  std::vector<float> values;
  std::vector<std::byte> bytes;
};

Lists lists(Numbers& numbers, int count) {
  Lists out;
  for (auto& list : out) list = numbers.list(static_cast<size_t>(count));
  return out;
}

template <class Pointer>
std::array<Pointer, kRows> pointers(Lists& of) {
  std::array<Pointer, kRows> out;
  for (int row = 0; row < kRows; ++row) out[row] = of[row].data();
  return out;
}

std::string project_wrong(const Kernels& kernels, int k, int rank, bool bf16) {
  Numbers numbers(static_cast<std::uint64_t>(k) * 100 + rank);
  Lists x = lists(numbers, k), got = lists(numbers, rank), alone = got;
  const Stored a(numbers, static_cast<size_t>(rank) * k, bf16);
  const LowRankPanels update{bf16, a.bytes.data(), nullptr, nullptr};
  const auto in = pointers<const float*>(x);
  kernels.low_rank.project(update, k, 0, rank, in.data(), kRows, pointers<float*>(got).data());
  for (int row = 0; row < kRows; ++row) {
    float* const out = alone[row].data();
    for (int i = 0; i < rank; ++i) {
      kernels.low_rank.project(update, k, i, i + 1, &in[row], 1, &out);
      double want = 0, size = 0;
      for (int c = 0; c < k; ++c) {
        const double term =
            static_cast<double>(x[row][c]) * a.values[static_cast<size_t>(i) * k + c];
        want += term;
        size += std::abs(term);
      }
      if (!(std::abs(got[row][i] - want) <= 1e-6 * size)) {
        return mismatch("A x", i, row, got[row][i], want);
      }
    }
    if (!same(got[row], alone[row])) return "ranks and rows together differ from them one by one";
  }
  return "";
}

std::string expand_wrong(const Kernels& kernels, int rank, int panels, bool bf16) {
  Numbers numbers(static_cast<std::uint64_t>(panels) * 100 + rank);
  const int width = kernels.panel_width;
  Lists t = lists(numbers, rank), got = lists(numbers, panels * width), alone = got;
  // Each panel leaves out some ranks.
  std::vector<PanelRanks> of(static_cast<size_t>(panels));
  size_t values = 0;
  for (int panel = 0; panel < panels; ++panel) {
    const int first = panel % rank;
    of[panel] = {first, rank - first, values};
    values += static_cast<size_t>(rank - first) * width;
  }
  const Stored b(numbers, values, bf16);
  const LowRankPanels update{bf16, nullptr, b.bytes.data(), of.data()};
  const auto in = pointers<const float*>(t);
  kernels.low_rank.expand(update, 0, panels, in.data(), kRows, pointers<float*>(got).data());
  for (int row = 0; row < kRows; ++row) {
    float* const out = alone[row].data();
    for (int panel = 0; panel < panels; ++panel) {
      kernels.low_rank.expand(update, panel, panel + 1, &in[row], 1, &out);
      for (int j = 0; j < width; ++j) {
        double want = 0, size = 0;
        for (int r = 0; r < of[panel].count; ++r) {
          const double term = static_cast<double>(t[row][of[panel].first + r]) *
                              b.values[of[panel].at + static_cast<size_t>(r) * width + j];
          want += term;
          size += std::abs(term);
        }
        const float value = got[row][static_cast<size_t>(panel) * width + j];
        if (!(std::abs(value - want) <= 1e-6 * size))
          return mismatch("B t", row, panel, value, want);
      }
    }
    if (!same(got[row], alone[row])) return "panels and rows together differ from them one by one";
  }
  return "";
}

}  // namespace

void check_low_rank(const Kernels& kernels) {
  std::string wrong;
  for (const auto& [k, rank, panels] : std::vector<std::array<int, 3>>{
           {1, 1, 1}, {7, 3, 2}, {64, 8, 5}, {65, 2, 4}, {257, 16, 9}, {1100, 64, 20}}) {
    for (bool bf16 : {false, true}) {
      if (wrong.empty()) wrong = project_wrong(kernels, k, rank, bf16);
      if (wrong.empty()) wrong = expand_wrong(kernels, rank, panels, bf16);
    }
  }
  report(std::string(kernels.name) + " low-rank products", wrong);
}

}  // namespace anabranch
