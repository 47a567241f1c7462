// b · (a · x), which LoRA adapters add to products, as the products' epilogues compute it.
#pragma once

#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {

/// The update of one row by its adapter; null if there is none of this product.
__device__ inline const LowRankUpdate* low_rank_update(const LowRankTerm& p, int row) {
  const LowRankUpdate* const table = p.tables ? p.tables[row] : nullptr;
  return table && table[p.product].rank > 0 ? table + p.product : nullptr;
}

/// value += what the row's adapter adds to column `column` of p.w. Other values keep their bits.
__device__ inline void add_low_rank(const Gemm& p, int row, int column, float& value) {
  const LowRankUpdate* const update = low_rank_update(p.low_rank, row);
  if (!update) return;
  column += p.first_column;
  const float* t = p.low_rank.projected + static_cast<size_t>(row) * p.low_rank.stride +
                   update->part_of(column) * update->rank;
  const float* b = update->b + column;
  float sum = 0;
#pragma unroll 4
  for (int r = 0; r < update->rank; ++r)
    sum = fmaf(t[r], b[static_cast<size_t>(r) * p.width()], sum);
  value += sum;
}

}  // namespace anabranch::ANABRANCH_CUDA
