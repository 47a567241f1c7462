// LoRA adapters beside the products: a · x of the rows that have one, what is added after a product
// whose epilogue is not ours, and logits of trained rows of the head. Weights are fp32 and read
// once for every kAdapterTileRows rows of an adapter; a row's sums do not depend on the others.
#include "backends/cuda/low_rank.cuh"
#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

constexpr int kWarps = 4, kThreads = kWarps * kWarp;

/// Four neighbouring bf16 in fp32.
struct Four {
  float value[4];
  __device__ explicit Four(const Bf16* at) {
    const Words2 words = load8(at);
#pragma unroll
    for (int i = 0; i < 4; ++i)
      value[i] = as_float(i % 2 ? words.word[i / 2] & 0xffff0000u : words.word[i / 2] << 16);
  }
};

/// sums[i] = w · x[i] for `count` rows of x, in all lanes. k is a multiple of 4 · kWarp.
__device__ void dot(const float* w, const Bf16* const (&x)[kAdapterTileRows], int count, int k,
                    float (&sums)[kAdapterTileRows]) {
  for (float& sum : sums) sum = 0;
#pragma unroll 2
  for (int at = static_cast<int>(threadIdx.x) % kWarp * 4; at < k; at += 4 * kWarp) {
    const Words4 weights = load16(w + at);
#pragma unroll
    for (int i = 0; i < kAdapterTileRows; ++i) {
      if (i >= count) break;
      const Four values(x[i] + at);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        sums[i] = fmaf(as_float(weights.word[j]), values.value[j], sums[i]);
    }
  }
  for (float& sum : sums) sum = warp_sum(sum);
}

/// Row `row` of the product's x, before its norm's 1/rms.
__device__ const Bf16* input_row(const Gemm& p, int row) {
  return p.x + static_cast<size_t>(p.source_rows ? p.source_rows[row] : row) * p.w.k;
}
__device__ float input_scale(const Gemm& p, int row) {
  return p.norm_squares ? inverse_rms(p, p.source_rows ? p.source_rows[row] : row) : 1.0f;
}

/// projected[row] = a · x[row], a row of `a` per warp.
/// Launch: grid (tiles, stride / kWarps), block of kThreads. Reads 4 · k bytes per warp, and x.
__global__ void project_kernel(Gemm p) {
  wait_on_previous_kernel();
  const LowRankTerm& low_rank = p.low_rank;
  const AdapterTile tile = low_rank.tiles[blockIdx.x];
  if (tile.count == 0) return;
  const LowRankUpdate& update = tile.table[low_rank.product];
  const int rank = static_cast<int>(blockIdx.y) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  if (rank >= update.parts * update.rank) return;
  const int* const rows = low_rank.tile_rows + tile.first;
  const Bf16* x[kAdapterTileRows];
#pragma unroll
  for (int i = 0; i < kAdapterTileRows; ++i) x[i] = input_row(p, rows[i < tile.count ? i : 0]);
  float sums[kAdapterTileRows];
  dot(update.a + static_cast<size_t>(rank) * p.w.k, x, tile.count, p.w.k, sums);
#pragma unroll
  for (int i = 0; i < kAdapterTileRows; ++i) {
    if (i >= tile.count) break;
    const float sum = sums[i] * input_scale(p, rows[i]);
    if (threadIdx.x % kWarp == 0)
      low_rank.projected[static_cast<size_t>(rows[i]) * low_rank.stride + rank] = sum;
  }
}

/// out += what adapters add. Launch: grid (w.n / kThreads, m), block of kThreads.
__global__ void add_low_rank_kernel(Gemm p) {
  wait_on_previous_kernel();
  const int row = static_cast<int>(blockIdx.y);
  const int column = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (column >= p.w.n || !low_rank_update(p.low_rank, row)) return;
  add_low_rank(p, row, column, p.out[static_cast<size_t>(row) * p.width() + column]);
}

/// The logits of tokens whose rows of the head an adapter has trained, one after another per warp.
/// Launch: grid (m, blocks), block of kThreads. Reads 4 · k bytes per token.
__global__ void replace_logits_kernel(Gemm p, const TrainedRows* trained) {
  wait_on_previous_kernel();
  const int row = static_cast<int>(blockIdx.x), warp = static_cast<int>(threadIdx.x) / kWarp;
  const TrainedRows head = trained[row];
  if (head.count == 0) return;
  const Bf16* x[kAdapterTileRows] = {input_row(p, row)};
  const float scale = input_scale(p, row);
  for (int i = static_cast<int>(blockIdx.y) * kWarps + warp; i < head.count;
       i += static_cast<int>(gridDim.y) * kWarps) {
    float sums[kAdapterTileRows];
    dot(head.rows + static_cast<size_t>(i) * p.w.k, x, 1, p.w.k, sums);
    if (threadIdx.x % kWarp == 0)
      p.out[static_cast<size_t>(row) * p.width() + head.tokens[i]] = sums[0] * scale;
  }
}

}  // namespace

void project(const Gemm& p, const Queue& queue) {
  const dim3 grid(static_cast<unsigned>(p.low_rank.num_tiles),
                  static_cast<unsigned>((p.low_rank.stride + kWarps - 1) / kWarps));
  launch(project_kernel, grid, dim3(kThreads), 0, queue, p);
}

void add_low_rank(const Gemm& p, const Queue& queue) {
  const dim3 grid(static_cast<unsigned>((p.w.n + kThreads - 1) / kThreads),
                  static_cast<unsigned>(p.m));
  launch(add_low_rank_kernel, grid, dim3(kThreads), 0, queue, p);
}

void replace_logits(const Gemm& p, const TrainedRows* trained, const Queue& queue) {
  constexpr unsigned kBlocks = 64;  // to a row, which may have trained the whole vocabulary
  launch(replace_logits_kernel, dim3(static_cast<unsigned>(p.m), kBlocks), dim3(kThreads), 0, queue,
         p, trained);
}

}  // namespace anabranch::ANABRANCH_CUDA
