// Products with the narrow matrices of a LoRA adapter, in fp32.
// Included by kernels.cpp only.
#pragma once

#include <algorithm>

#include "backends/cpu/vectors.h"
#include "backends/cpu/weight_formats.h"

namespace anabranch {
namespace {

using Bf16Value = std::uint16_t;

inline Vec load_values(const float* at) { return load<Vec>(at); }
inline Vec load_values(const Bf16Value* at) { return widen(at); }

/// `count` values from `at`, then zeros.
template <class Value>
inline Vec load_some(const Value* at, int count) {
  Value padded[W] = {};
  std::copy(at, at + count, padded);
  return load_values(padded);
}

template <int kRows, class Value>
void project_rows(const Value* a, int k, int first, int last, const float* const* x,
                  float* const* out) {
  constexpr int kSums = 4;  // independent, to keep the FMA units busy
  a += static_cast<std::ptrdiff_t>(first) * k;
  for (int rank = first; rank < last; ++rank, a += k) {
    Vec sums[kRows][kSums] = {};
    int i = 0;
    for (; i + kSums * W <= k; i += kSums * W) {
      for (int s = 0; s < kSums; ++s) {
        const Vec value = load_values(a + i + s * W);
        for (int row = 0; row < kRows; ++row) {
          sums[row][s] = fma(load<Vec>(x[row] + i + s * W), value, sums[row][s]);
        }
      }
    }
    for (; i + W <= k; i += W) {
      const Vec value = load_values(a + i);
      for (int row = 0; row < kRows; ++row) {
        sums[row][0] = fma(load<Vec>(x[row] + i), value, sums[row][0]);
      }
    }
    for (int row = 0; row < kRows; ++row) {
      Vec(&of)[kSums] = sums[row];
      if (i < k) of[1] = fma(load_some(x[row] + i, k - i), load_some(a + i, k - i), of[1]);
      out[row][rank] = sum((of[0] + of[1]) + (of[2] + of[3]));
    }
  }
}

template <int kRows, class Value>
void expand_rows(const Value* b, const PanelRanks* panels, int first, int last,
                 const float* const* t, float* const* out) {
  constexpr int kVectors = kPanelWidth / W;
  for (int panel = first; panel < last; ++panel) {
    const PanelRanks& ranks = panels[panel];
    const Value* values = b + ranks.at;
    Vec sums[kRows][kVectors] = {};
    for (int r = 0; r < ranks.count; ++r, values += kPanelWidth) {
      for (int v = 0; v < kVectors; ++v) {
        const Vec value = load_values(values + v * W);
        for (int row = 0; row < kRows; ++row) {
          sums[row][v] = fma(splat(t[row][ranks.first + r]), value, sums[row][v]);
        }
      }
    }
    for (int row = 0; row < kRows; ++row) {
      for (int v = 0; v < kVectors; ++v) {
        store(out[row] + panel * kPanelWidth + v * W, sums[row][v]);
      }
    }
  }
}

/// `compute` with the number of rows and a pointer of the values' type.
template <class Compute>
void by_rows_and_values(bool bf16, const std::byte* values, int rows, Compute compute) {
  const auto by_rows = [&](const auto* typed) {
    switch (rows) {
      case 1:
        return compute(std::integral_constant<int, 1>(), typed);
      case 2:
        return compute(std::integral_constant<int, 2>(), typed);
      case 3:
        return compute(std::integral_constant<int, 3>(), typed);
      default:
        return compute(std::integral_constant<int, kLowRankRows>(), typed);
    }
  };
  if (bf16)
    by_rows(reinterpret_cast<const Bf16Value*>(values));
  else
    by_rows(reinterpret_cast<const float*>(values));
}

void project(const LowRankPanels& update, int k, int first, int last, const float* const* x,
             int rows, float* const* out) {
  // Two at a time: more would not leave registers for the sums.
  for (int row = 0; row < rows; row += 2) {
    const int count = std::min(2, rows - row);
    by_rows_and_values(update.bf16, update.a, count, [&](auto of, const auto* a) {
      project_rows<of()>(a, k, first, last, x + row, out + row);
    });
  }
}

void expand(const LowRankPanels& update, int first, int last, const float* const* t, int rows,
            float* const* out) {
  by_rows_and_values(update.bf16, update.b, rows, [&](auto of, const auto* b) {
    expand_rows<of()>(b, update.panels, first, last, t, out);
  });
}

}  // namespace
}  // namespace anabranch
