// Products with the narrow matrices of a LoRA adapter.
// Included by kernels.cpp only.
#pragma once

#include <algorithm>

#include "backends/cpu/gemm.h"
#include "backends/cpu/vectors.h"
#include "backends/cpu/weight_formats.h"

namespace anabranch {
namespace {

// What half a panel has of one step along k, or of one rank (of DotWeights: of two).
template <class Format>
struct HalfPanel {
  using Stored = float;
  static Vec at(const float* values) { return load<Vec>(values); }
};
template <>
struct HalfPanel<Bf16Weights> {
  using Stored = std::uint16_t;
  static Vec at(const std::uint16_t* values) { return widen(values); }
};
#if defined(ANABRANCH_DOT)
template <>
struct HalfPanel<DotWeights> {
  using Stored = std::uint32_t;
  static Bits at(const std::uint32_t* words) { return load<Bits>(words); }
};
using LowRankBf16 = DotWeights;
#else
using LowRankBf16 = Bf16Weights;
#endif

/// A · x of kRows rows and half a panel of ranks.
template <class Format, int kRows>
void project_rows(const typename HalfPanel<Format>::Stored* a, int steps,
                  const typename Format::Input* x, std::ptrdiff_t ldx, float* out,
                  std::ptrdiff_t ldo) {
  constexpr int kSums = 4;  // independent, to keep the FMA units busy
  Vec sums[kRows][kSums] = {};
  const auto add = [&](int step, int sum) {
    const auto values = HalfPanel<Format>::at(a + static_cast<size_t>(step) * W);
    for (int row = 0; row < kRows; ++row) {
      sums[row][sum] =
          Format::multiply(sums[row][sum], Format::spread(x[row * ldx + step]), values);
    }
  };
  int i = 0;
  for (; i + kSums <= steps; i += kSums) {
#pragma GCC unroll 4
    for (int sum = 0; sum < kSums; ++sum) add(i + sum, sum);
  }
  for (; i < steps; ++i) add(i, 0);
  for (int row = 0; row < kRows; ++row) {
    const Vec(&of)[kSums] = sums[row];
    store(out + row * ldo, (of[0] + of[1]) + (of[2] + of[3]));
  }
}

template <class Format, int kRows = kLowRankRows>
void project_rows(const typename HalfPanel<Format>::Stored* a, int steps,
                  const typename Format::Input* x, std::ptrdiff_t ldx, float* out,
                  std::ptrdiff_t ldo, int rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return project_rows<Format, kRows - 1>(a, steps, x, ldx, out, ldo, rows);
  }
  project_rows<Format, kRows>(a, steps, x, ldx, out, ldo);
}

template <class Format>
void project_of(const LowRankUpdate& update, const Gemm& g) {
  const int steps = (g.k + Format::depth - 1) / Format::depth;
  for (int first_row = 0; first_row < g.m; first_row += kBlockRows) {
    const int rows = std::min(g.m - first_row, kBlockRows);
    std::ptrdiff_t ldx = 0;
    const auto* x = inputs_of<Format>(g, first_row, rows, ldx);
    float* const out = static_cast<float*>(g.out) + first_row * g.ldo;
    const auto* a = reinterpret_cast<const typename HalfPanel<Format>::Stored*>(update.a);
    for (int rank = 0; rank < g.n; rank += W, a += static_cast<size_t>(steps) * W) {
      for (int row = 0; row < rows; row += kLowRankRows) {
        project_rows<Format>(a, steps, x + row * ldx, ldx, out + row * g.ldo + rank, g.ldo,
                             std::min(kLowRankRows, rows - row));
      }
    }
  }
}

void project(const LowRankUpdate& update, const Gemm& g) {
  if (update.type == WeightType::kF32)
    project_of<F32Weights>(update, g);
  else
    project_of<LowRankBf16>(update, g);
}

template <int kRows>
using PanelSums = Vec[kRows][2];

/// Adds ranks that are steps of the format.
template <class Format, int kRows>
void add_ranks(const std::byte* panel, int steps, const typename Format::Input* const* t,
               PanelSums<kRows>& sums) {
  const auto* values = reinterpret_cast<const typename HalfPanel<Format>::Stored*>(panel);
  for (int step = 0; step < steps; ++step) {
    for (int half = 0; half < 2; ++half, values += W) {
      const auto value = HalfPanel<Format>::at(values);
      for (int row = 0; row < kRows; ++row) {
        sums[row][half] = Format::multiply(sums[row][half], Format::spread(t[row][step]), value);
      }
    }
  }
}

/// As add_ranks, of t in fp32.
template <class Format, int kRows>
void add_panel(const std::byte* b, const PanelRanks& ranks, const float* const* t,
               PanelSums<kRows>& sums) {
  using Stored = typename HalfPanel<Format>::Stored;
  const size_t bytes = kPanelWidth * sizeof(Stored);  // of a step
  b += ranks.at / Format::depth * sizeof(Stored);
  const typename Format::Input* in[kRows];
  if constexpr (Format::depth == 1) {
    for (int row = 0; row < kRows; ++row) in[row] = t[row] + ranks.first;
    add_ranks<Format, kRows>(b, ranks.count, in, sums);
  } else {
    // As many ranks as are rounded together.
    static_assert(kLowRankSlack >= kPanelWidth);
    for (int first = 0; first < ranks.count; first += kPanelWidth) {
      std::uint32_t pairs[kRows][kPanelWidth / 2];
      for (int row = 0; row < kRows; ++row) {
        store_pairs(pairs[row], t[row] + ranks.first + first);
        in[row] = pairs[row];
      }
      const int steps = std::min(kPanelWidth, ranks.count - first) / Format::depth;
      add_ranks<Format, kRows>(b, steps, in, sums);
      b += bytes * static_cast<size_t>(steps);
    }
  }
}

template <class Format, int kRows>
void expand_rows(const LowRankUpdate& update, int first, int last, const float* const* t,
                 float* const* out) {
  for (int panel = first; panel < last; ++panel) {
    PanelSums<kRows> sums = {};
    add_panel<Format, kRows>(update.b, update.panels[panel], t, sums);
    for (int row = 0; row < kRows; ++row) {
      for (int half = 0; half < 2; ++half) {
        store(out[row] + panel * kPanelWidth + half * W, sums[row][half]);
      }
    }
  }
}

template <int kRows = kLowRankRows>
void expand(const LowRankUpdate& update, int first, int last, const float* const* t, int rows,
            float* const* out) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return expand<kRows - 1>(update, first, last, t, rows, out);
  }
  if (update.type == WeightType::kF32)
    expand_rows<F32Weights, kRows>(update, first, last, t, out);
  else
    expand_rows<LowRankBf16, kRows>(update, first, last, t, out);
}

}  // namespace
}  // namespace anabranch
