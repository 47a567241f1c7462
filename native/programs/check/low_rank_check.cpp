// Products with an adapter's narrow matrices: values against double precision, and bits that don't
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

/// Where LowRankUpdate has the value of a rank and a column, of panels that begin at `at`.
size_t place(const Kernels& kernels, WeightType type, const PanelRanks& panel, int rank, int j) {
  const auto r = static_cast<size_t>(rank), column = static_cast<size_t>(j);
  const auto width = static_cast<size_t>(kernels.panel_width);
  if (type == WeightType::kF32 || !kernels.pairs) return panel.at + r * width + column;
  return panel.at + r / 2 * 2 * width + 2 * column + r % 2;
}

std::string project_wrong(const Kernels& kernels, int k, int rank, WeightType type) {
  Numbers numbers(static_cast<std::uint64_t>(k) * 100 + rank);
  constexpr int kMany = 2 * kRows + 1;
  const int half = kernels.panel_width / 2, panels = (rank + half - 1) / half;
  const int depth = type != WeightType::kF32 && kernels.pairs ? 2 : 1,
            steps = (k + depth - 1) / depth;
  const auto x = numbers.list(static_cast<size_t>(kMany) * k);
  const auto value_of = [&](int i, int c) {
    return static_cast<float>((i * 31 + c * 17) % 64 - 32) / 8;
  };
  std::vector<std::byte> a;
  for (int panel = 0; panel < panels; ++panel) {
    for (int step = 0; step < steps; ++step) {
      for (int i = panel * half; i < (panel + 1) * half; ++i) {
        for (int c = step * depth; c < (step + 1) * depth; ++c) {
          const float value = c < k && i < rank ? value_of(i, c) : 0;
          const std::uint16_t bits = to_bf16(value);
          const auto* from = type == WeightType::kF32 ? static_cast<const void*>(&value) : &bits;
          const size_t size = type == WeightType::kF32 ? sizeof value : sizeof bits;
          a.resize(a.size() + size);
          std::memcpy(&a[a.size() - size], from, size);
        }
      }
    }
  }
  const LowRankUpdate update{type, a.data(), nullptr, nullptr};
  std::vector<std::uint32_t> scratch(gemm_scratch(k));
  const auto run = [&](int first, int m) {
    std::vector<float> out(static_cast<size_t>(m) * panels * half);
    Gemm g;
    g.x = x.data() + static_cast<size_t>(first) * k;
    g.ldx = k;
    g.m = m;
    g.k = k;
    g.n = rank;
    g.scratch = scratch.data();
    g.out = out.data();
    g.ldo = panels * half;
    kernels.project(update, g);
    return out;
  };
  const auto got = run(0, kMany);
  for (int row = 0; row < kMany; ++row) {
    const auto alone = run(row, 1);
    for (int i = 0; i < rank; ++i) {
      double want = 0, size = 0;
      for (int c = 0; c < k; ++c) {
        // Kernels that multiply pairs round both sides.
        const float input = x[static_cast<size_t>(row) * k + c];
        const double term =
            static_cast<double>(depth == 2 ? stored(type, input) : input) * value_of(i, c);
        want += term;
        size += std::abs(term);
      }
      const float value = got[static_cast<size_t>(row) * panels * half + i];
      if (!(std::abs(value - want) <= 1e-6 * size)) return mismatch("A x", i, row, value, want);
      if (value != alone[i]) return "rows together differ from them one by one";
    }
  }
  return "";
}

std::string expand_wrong(const Kernels& kernels, int rank, int panels, WeightType type) {
  Numbers numbers(static_cast<std::uint64_t>(panels) * 100 + rank);
  const int width = kernels.panel_width;
  Lists t = lists(numbers, rank + kLowRankSlack), got = lists(numbers, panels * width), alone = got;
  // Each panel leaves out some ranks.
  std::vector<PanelRanks> of(static_cast<size_t>(panels));
  size_t count = 0;
  for (int panel = 0; panel < panels; ++panel) {
    const int first = 2 * panel % rank;
    of[panel] = {first, rank - first, count};
    count += static_cast<size_t>(rank - first) * width;
  }
  std::vector<float> values = numbers.list(count);
  std::vector<std::byte> b(count * (type == WeightType::kF32 ? 4 : 2));
  for (size_t i = 0; i < count; ++i) {
    values[i] = stored(type, values[i]);
    const std::uint16_t bits = to_bf16(values[i]);
    if (type == WeightType::kF32)
      std::memcpy(&b[i * 4], &values[i], 4);
    else
      std::memcpy(&b[i * 2], &bits, 2);
  }
  const LowRankUpdate update{type, nullptr, b.data(), of.data()};
  const auto in = pointers<const float*>(t);
  kernels.expand(update, 0, panels, in.data(), kRows, pointers<float*>(got).data());
  for (int row = 0; row < kRows; ++row) {
    float* const out = alone[row].data();
    for (int panel = 0; panel < panels; ++panel) {
      kernels.expand(update, panel, panel + 1, &in[row], 1, &out);
      for (int j = 0; j < width; ++j) {
        double want = 0, size = 0;
        for (int r = 0; r < of[panel].count; ++r) {
          // Kernels that multiply pairs round both sides.
          const float x = t[row][of[panel].first + r];
          const double term = static_cast<double>(kernels.pairs ? stored(type, x) : x) *
                              values[place(kernels, type, of[panel], r, j)];
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
  for (const auto& [rank, panels] :
       std::vector<std::array<int, 2>>{{2, 1}, {4, 2}, {8, 5}, {16, 9}, {64, 20}, {70, 3}}) {
    for (WeightType type : {WeightType::kF32, WeightType::kBF16}) {
      if (wrong.empty()) wrong = expand_wrong(kernels, rank, panels, type);
    }
  }
  for (const auto& [k, rank] :
       std::vector<std::array<int, 2>>{{1, 2}, {7, 4}, {64, 8}, {65, 16}, {257, 18}, {1100, 64}}) {
    for (WeightType type : {WeightType::kF32, WeightType::kBF16}) {
      if (wrong.empty()) wrong = project_wrong(kernels, k, rank, type);
    }
  }
  report(std::string(kernels.name) + " low-rank products", wrong);
}

}  // namespace anabranch
