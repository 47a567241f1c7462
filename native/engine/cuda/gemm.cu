// Matrix products on tensor cores: few rows, where the weights' bandwidth is all that counts, and many.
#include "device.cuh"
#include "kernels.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

// ---- few rows ------------------------------------------------------------------------------------

/// 16 rows of weights by 8·Tiles rows of x a block. Its kSplits warps take every kSplits-th stretch of
/// K, each lane 16 bytes of a row at a time, and their sums are added in warp order.
template <int Tiles, int kSplits>
__global__ void __launch_bounds__(kSplits* kWarp) skinny(Gemm p) {
  constexpr int kAhead = Tiles <= 2 ? 4 : 2;  // stretches of weights under way
  constexpr int kStride = kSplits * kDepth;
  __shared__ float part[kSplits][Tiles * 8][kStrip + 1];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, t = lane % 4;
  const int first = static_cast<int>(blockIdx.y) * Tiles * 8;
  const Bf16* low = p.w + (static_cast<size_t>(blockIdx.x) * kStrip + g) * p.k + 8 * t;
  const Bf16* high = low + static_cast<size_t>(8) * p.k;
  const Bf16* x[Tiles];
#pragma unroll
  for (int i = 0; i < Tiles; ++i) {
    const int row = first + 8 * i + g;
    x[i] = p.x + static_cast<size_t>(row < p.m ? row : p.m - 1) * p.k + 8 * t;
  }
  float sums[Tiles][4] = {};
  int k = warp * kDepth;
#pragma unroll 1
  for (; k + (kAhead - 1) * kStride < p.k; k += kAhead * kStride) {
    Words a[kAhead][2];
#pragma unroll
    for (int ahead = 0; ahead < kAhead; ++ahead) {
      a[ahead][0] = load16_once(low + k + ahead * kStride);
      a[ahead][1] = load16_once(high + k + ahead * kStride);
    }
#pragma unroll
    for (int ahead = 0; ahead < kAhead; ++ahead) {
#pragma unroll
      for (int i = 0; i < Tiles; ++i) {
        multiply32(sums[i], a[ahead][0], a[ahead][1], load16(x[i] + k + ahead * kStride));
      }
    }
  }
#pragma unroll 1
  for (; k < p.k; k += kStride) {
    const Words a0 = load16_once(low + k), a1 = load16_once(high + k);
#pragma unroll
    for (int i = 0; i < Tiles; ++i) multiply32(sums[i], a0, a1, load16(x[i] + k));
  }
#pragma unroll
  for (int i = 0; i < Tiles; ++i) {
    part[warp][8 * i + 2 * t][g] = sums[i][0];
    part[warp][8 * i + 2 * t + 1][g] = sums[i][1];
    part[warp][8 * i + 2 * t][g + 8] = sums[i][2];
    part[warp][8 * i + 2 * t + 1][g + 8] = sums[i][3];
  }
  __syncthreads();
  for (int at = static_cast<int>(threadIdx.x); at < Tiles * 8 * kStrip; at += kSplits * kWarp) {
    const int i = at / kStrip, j = at % kStrip;
    const int row = first + i, column = static_cast<int>(blockIdx.x) * kStrip + j;
    if (row >= p.m || column >= p.n) continue;
    float sum = part[0][i][j];
#pragma unroll
    for (int split = 1; split < kSplits; ++split) sum += part[split][i][j];
    if (p.bias) sum += p.bias[column];
    float* out = p.out + static_cast<size_t>(row) * p.n + column;
    *out = p.accumulate ? *out + sum : sum;
  }
}

/// Where there are few strips, more warps share each, so that all of the device reads. That depends on
/// the weights alone: sums must not depend on the number of rows.
template <int Tiles>
void launch_skinny(const Gemm& p, cudaStream_t stream) {
  constexpr unsigned kManyStrips = 256;
  const auto strips = static_cast<unsigned>((p.n + kStrip - 1) / kStrip);
  const dim3 grid(strips, static_cast<unsigned>((p.m + 8 * Tiles - 1) / (8 * Tiles)));
  if (strips >= kManyStrips) launch(skinny<Tiles, 4>, grid, dim3(4 * kWarp), 0, stream, p);
  else launch(skinny<Tiles, 8>, grid, dim3(8 * kWarp), 0, stream, p);
}

// ---- many rows -----------------------------------------------------------------------------------

constexpr int kTile = 128;  // rows of x, and of w, a block
constexpr int kStages = 4;
constexpr size_t kTileBytes = size_t{kTile} * kDepth * sizeof(Bf16);
constexpr int kTileThreads = 256;

/// One stretch of K of this block's rows of x and w, into one stage of shared memory.
__device__ void fetch(const Gemm& p, Bf16* stage, int k) {
  const int rows_w = (p.n + kStrip - 1) / kStrip * kStrip;
#pragma unroll
  for (int part = 0; part < 2; ++part) {
    const int at = static_cast<int>(threadIdx.x) + part * kTileThreads;
    const int row = at / 4, piece = at % 4 * 8;
    int x = static_cast<int>(blockIdx.y) * kTile + row;
    int w = static_cast<int>(blockIdx.x) * kTile + row;
    x = x < p.m ? x : p.m - 1;
    w = w < rows_w ? w : rows_w - 1;
    copy16(stage + row * kDepth + piece, p.x + static_cast<size_t>(x) * p.k + k + piece);
    copy16(stage + kTile * kDepth + row * kDepth + piece,
           p.w + static_cast<size_t>(w) * p.k + k + piece);
  }
}

/// 128 by 128 results a block, 64 by 32 a warp. Rows of a stage are 64 bytes: eight lanes' 16-byte
/// reads of two rows fill all banks once.
__global__ void __launch_bounds__(kTileThreads) tiled(Gemm p) {
#if defined(ANABRANCH_EMULATE)
  Bf16* shared = static_cast<Bf16*>(emulate::dynamic_shared());
#else
  extern __shared__ __align__(128) Bf16 shared[];
#endif
  constexpr int kStage = 2 * kTile * kDepth;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, t = lane % 4;
  const int warp_row = warp / 4 * 64, warp_column = warp % 4 * 32;
  const int steps = p.k / kDepth;
  for (int stage = 0; stage < kStages - 1; ++stage) {
    if (stage < steps) fetch(p, shared + stage * kStage, stage * kDepth);
    close_copies();
  }
  float sums[4][4][4] = {};
  for (int step = 0; step < steps; ++step) {
    await_copies<kStages - 2>();
    __syncthreads();
    const int next = step + kStages - 1;
    if (next < steps) fetch(p, shared + next % kStages * kStage, next * kDepth);
    close_copies();
    const Bf16* x = shared + step % kStages * kStage + (warp_row + g) * kDepth + 8 * t;
    const Bf16* w = shared + step % kStages * kStage + kTile * kDepth +
                    (warp_column + g) * kDepth + 8 * t;
    Words b[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) b[j] = load16(w + j * 8 * kDepth);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const Words low = load16(x + i * 16 * kDepth), high = load16(x + (i * 16 + 8) * kDepth);
#pragma unroll
      for (int j = 0; j < 4; ++j) multiply32(sums[i][j], low, high, b[j]);
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
#pragma unroll
      for (int at = 0; at < 4; ++at) {
        const int row = static_cast<int>(blockIdx.y) * kTile + warp_row + i * 16 + g + at / 2 * 8;
        const int column =
            static_cast<int>(blockIdx.x) * kTile + warp_column + j * 8 + 2 * t + at % 2;
        if (row >= p.m || column >= p.n) continue;
        float sum = sums[i][j][at];
        if (p.bias) sum += p.bias[column];
        float* out = p.out + static_cast<size_t>(row) * p.n + column;
        *out = p.accumulate ? *out + sum : sum;
      }
    }
  }
}

void launch_tiled(const Gemm& p, cudaStream_t stream) {
  const size_t shared = 2 * kTileBytes * kStages;
#if !defined(ANABRANCH_EMULATE)
  static const cudaError_t raised = cudaFuncSetAttribute(
      tiled, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
  (void)raised;  // a launch that needs more than it may have fails, and that is seen
#endif
  const dim3 grid(static_cast<unsigned>((p.n + kTile - 1) / kTile),
                  static_cast<unsigned>((p.m + kTile - 1) / kTile));
  launch(tiled, grid, dim3(kTileThreads), shared, stream, p);
}

}  // namespace

void gemm(const Gemm& p, cudaStream_t stream) {
  if (p.m <= 8) launch_skinny<1>(p, stream);
  else if (p.m <= 16) launch_skinny<2>(p, stream);
  else if (p.m <= 32) launch_skinny<4>(p, stream);
  else if (p.m <= 64 || p.invariant) launch_skinny<8>(p, stream);
  else launch_tiled(p, stream);
}

}  // namespace anabranch::ANABRANCH_CUDA
