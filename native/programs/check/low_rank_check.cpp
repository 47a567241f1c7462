// The products with an adapter's matrices: values against double precision, and bits that don't
// depend on what a thread computes beside them.
#include <array>
#include <cmath>

#include "check/checks.h"
#include "check/values.h"

namespace anabranch {
namespace {

std::string project_wrong(const Kernels& kernels, int k, int rank) {
  Numbers numbers(static_cast<std::uint64_t>(k) * 100 + rank);
  const auto x = numbers.list(k), a = numbers.list(static_cast<size_t>(rank) * k);
  std::vector<float> got(rank), alone(rank);
  kernels.low_rank.project(x.data(), a.data(), k, rank, got.data());
  for (int i = 0; i < rank; ++i) {
    const float* row = a.data() + static_cast<size_t>(i) * k;
    kernels.low_rank.project(x.data(), row, k, 1, &alone[i]);
    double want = 0, size = 0;
    for (int c = 0; c < k; ++c) {
      want += static_cast<double>(x[c]) * row[c];
      size += std::abs(static_cast<double>(x[c]) * row[c]);
    }
    if (!(std::abs(got[i] - want) <= 1e-6 * size)) return mismatch("A x", i, 0, got[i], want);
  }
  return same(got, alone) ? "" : "rows of A together differ from the rows one by one";
}

std::string expand_wrong(const Kernels& kernels, int rank, int n) {
  Numbers numbers(static_cast<std::uint64_t>(n) * 100 + rank);
  const auto t = numbers.list(rank), b = numbers.list(static_cast<size_t>(rank) * n),
             before = numbers.list(n);
  auto got = before, split = before;
  kernels.low_rank.expand(t.data(), rank, b.data(), n, n, got.data());
  const int cut = n / 3;
  kernels.low_rank.expand(t.data(), rank, b.data(), n, cut, split.data());
  kernels.low_rank.expand(t.data(), rank, b.data() + cut, n, n - cut, split.data() + cut);
  for (int j = 0; j < n; ++j) {
    double want = before[j], size = std::abs(want);
    for (int r = 0; r < rank; ++r) {
      const double term = static_cast<double>(t[r]) * b[static_cast<size_t>(r) * n + j];
      want += term;
      size += std::abs(term);
    }
    if (!(std::abs(got[j] - want) <= 1e-6 * size)) return mismatch("B t", 0, j, got[j], want);
  }
  return same(got, split) ? "" : "columns of B together differ from shares of them";
}

}  // namespace

void check_low_rank(const Kernels& kernels) {
  std::string wrong;
  for (const auto& [k, rank, n] : std::vector<std::array<int, 3>>{
           {1, 1, 1}, {7, 3, 5}, {64, 8, 33}, {65, 2, 64}, {257, 16, 131}, {1100, 64, 300}}) {
    if (wrong.empty()) wrong = project_wrong(kernels, k, rank);
    if (wrong.empty()) wrong = expand_wrong(kernels, rank, n);
  }
  report(std::string(kernels.name) + " low-rank products", wrong);
}

}  // namespace anabranch
