// The tiled GEMM, for many rows. It is bound by compute: each weight and each x that a block loads
// is multiplied with a tile of 128 of the other.
#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"
#include "backends/cuda/low_rank.cuh"

namespace anabranch::ANABRANCH_CUDA {
namespace {

constexpr int kTile = 128;  // rows of x, and of w, per block
constexpr int kStages = 4;
constexpr int kTileThreads = 128;
constexpr int kWarpTile = 64;  // rows of x, and of w, per warp

/// Copies kWarpK values of each of kTile rows, from `first` on, into shared memory. Beyond the last
/// row, that row is copied again.
__device__ void load_rows(std::uint8_t* to, const Bf16* from, int stride, int first, int rows) {
  constexpr int kCopiesPerRow = kWarpK * 2 / 16;
#pragma unroll
  for (int i = 0; i < kTile * kCopiesPerRow / kTileThreads; ++i) {
    const int at = static_cast<int>(threadIdx.x) + i * kTileThreads;
    int row = first + at / kCopiesPerRow;
    row = row < rows ? row : rows - 1;
    cp_async16(to + at * 16, from + static_cast<size_t>(row) * stride + at % kCopiesPerRow * 8);
  }
}

__device__ inline void store_output(const Gemm& p, int row, int column, float sum) {
  if (p.bias) sum += p.bias[column];
  add_low_rank(p, row, column, sum);
  float* out = p.out + static_cast<size_t>(row) * p.width() + column;
  *out = p.accumulate ? *out + sum : sum;
}
/// `column` is the gate's.
__device__ inline void store_gated(const Gemm& p, int row, int column, float gate, float up) {
  if (p.bias) gate += p.bias[column], up += p.bias[column + kHalfPanel];
  add_low_rank(p, row, column, gate);
  add_low_rank(p, row, column + kHalfPanel, up);
  gated_out_at(p, row, column / kPanel)[column % kPanel] =
      narrow(activate(p.activation, gate) * up);
}

/// One pipeline stage in shared memory: kWarpK values along K of this block's rows of x, then of w.
struct TileStage {
  static constexpr int kRow = kWarpK * 2, kBytes = 2 * kTile * kRow;

  static __device__ void load(const Gemm& p, std::uint8_t* stage, int k) {
    load_rows(stage, p.x + k, p.w.k, static_cast<int>(blockIdx.x) * kTile, p.m);
    load_rows(stage + kTile * kRow, static_cast<const Bf16*>(p.w.values) + k, p.w.k,
              static_cast<int>(blockIdx.y) * kTile, panels_of(p.w.n) * kPanel);
  }
};

/// out = x · wᵀ for many rows: 128 by 128 results per block, 64 by 64 per warp.
/// Launch: grid (m / kTile, w.n / kTile, splits), block of kTileThreads. With several splits of K,
/// each block leaves its sums in p.split_k_workspace, [splits, m, w.n]. Rows of a stage are 64
/// bytes without padding: the 16-byte loads of eight lanes cover two rows, which touches every bank
/// once.
__global__ void __launch_bounds__(kTileThreads, 2) tiled_gemm_kernel(Gemm p, int splits) {
  using Stage = TileStage;
  std::uint8_t* const shared = dynamic_shared();
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, t = lane % 4;
  const int warp_row = warp / 2 * kWarpTile, warp_column = warp % 2 * kWarpTile;
  constexpr int kX = kWarpTile / 16, kW = kWarpTile / 8;
  const int groups = p.w.k / kQuantGroup, split = static_cast<int>(blockIdx.z);
  const int begin = groups * split / splits * kQuantGroup;  // along K
  const int steps = (groups * (split + 1) / splits * kQuantGroup - begin) / kWarpK;

  // Start of the pipeline.
  wait_on_previous_kernel();
  for (int stage = 0; stage < kStages - 1; ++stage) {
    if (stage < steps) Stage::load(p, shared + stage * Stage::kBytes, begin + stage * kWarpK);
    cp_async_commit();
  }

  // Main loop.
  float sums[kX][kW][4] = {};
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<kStages - 2>();
    __syncthreads();
    const int next = step + kStages - 1;
    if (next < steps)
      Stage::load(p, shared + next % kStages * Stage::kBytes, begin + next * kWarpK);
    cp_async_commit();
    const std::uint8_t* stage = shared + step % kStages * Stage::kBytes;
    const std::uint8_t* x = stage + (warp_row + g) * Stage::kRow + t * 16;
    const std::uint8_t* w = stage + (kTile + warp_column + g) * Stage::kRow + t * 16;
    Words4 b[kW];
#pragma unroll
    for (int j = 0; j < kW; ++j) b[j] = load16(w + j * 8 * Stage::kRow);
#pragma unroll
    for (int i = 0; i < kX; ++i) {
      const Words4 low = load16(x + i * 16 * Stage::kRow),
                   high = load16(x + (i * 16 + 8) * Stage::kRow);
#pragma unroll
      for (int j = 0; j < kW; ++j) mma_k32(sums[i][j], low, high, b[j]);
    }
  }

  // Epilogue.
#pragma unroll
  for (int i = 0; i < kX; ++i) {
#pragma unroll
    for (int j = 0; j < kW; ++j) {
#pragma unroll
      for (int at = 0; at < 4; ++at) {
        const int row = static_cast<int>(blockIdx.x) * kTile + warp_row + i * 16 + g + at / 2 * 8;
        const int column =
            static_cast<int>(blockIdx.y) * kTile + warp_column + j * 8 + 2 * t + at % 2;
        if (row >= p.m || column >= p.w.n) continue;
        if (splits > 1) {
          p.split_k_workspace[(static_cast<size_t>(split) * p.m + row) * p.w.n + column] =
              sums[i][j][at];
        } else if (!p.gated_out) {
          store_output(p, row, column, sums[i][j][at]);
        } else if (j % 2 == 0) {  // even j hold gates, and j + 1 the matching ups
          store_gated(p, row, column, sums[i][j][at], sums[i][j + 1][at]);
        }
      }
    }
  }
}

/// Adds the splits' sums in their order, then applies the epilogue. One column of one row per
/// thread.
/// Launch: grid (w.n / threads, m). Reads 4 · splits bytes per result.
__global__ void split_k_reduce_kernel(Gemm p, int splits) {
  wait_on_previous_kernel();
  const int row = static_cast<int>(blockIdx.y);
  const int column = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (column >= p.w.n || (p.gated_out && column % kPanel >= kHalfPanel)) return;
  const auto sum_at = [&](int of) {
    float sum = 0;
    for (int split = 0; split < splits; ++split) {
      sum += p.split_k_workspace[(static_cast<size_t>(split) * p.m + row) * p.w.n + of];
    }
    return sum;
  };
  if (p.gated_out)
    store_gated(p, row, column, sum_at(column), sum_at(column + kHalfPanel));
  else
    store_output(p, row, column, sum_at(column));
}

}  // namespace

void tiled_gemm(const Gemm& p, const Queue& queue) {
  constexpr unsigned kTargetBlocks = 256;  // enough to keep a device busy
  constexpr unsigned kReduceThreads = 256;
  const size_t shared = size_t{kStages} * TileStage::kBytes;
  // Blocks that run together share tiles of w, so that w is read from memory once; x stays in L2.
  dim3 grid(static_cast<unsigned>((p.m + kTile - 1) / kTile),
            static_cast<unsigned>((p.w.n + kTile - 1) / kTile));
  const auto groups = static_cast<unsigned>(p.w.k / kQuantGroup);
  while (p.split_k_workspace && grid.x * grid.y * grid.z * 2 <= kTargetBlocks &&
         grid.z * 4 <= groups)
    grid.z *= 2;
  const int splits = static_cast<int>(grid.z);
  launch(tiled_gemm_kernel, grid, dim3(kTileThreads), shared, queue, p, splits);
  if (splits == 1) return;
  launch(split_k_reduce_kernel,
         dim3((static_cast<unsigned>(p.w.n) + kReduceThreads - 1) / kReduceThreads,
              static_cast<unsigned>(p.m)),
         dim3(kReduceThreads), 0, queue, p, splits);
}

}  // namespace anabranch::ANABRANCH_CUDA
