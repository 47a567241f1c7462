// Matrix products on tensor cores: few rows, where the weights' bandwidth is all that counts, and many.
#include "device.cuh"
#include "kernels.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

// A kind of weights says how they are read: `kBytes` a value. For few rows, a Stretch is what one warp
// takes of a strip at a time: `kValues` along K in `kLoads` 16-byte loads a lane, which begin at
// `kLane` · t for lane 4·g + t; it holds rows g and g + 8. For many, eight() are the values of a row that
// lane t multiplies, out of shared memory.

struct Bf16Weights {
  static constexpr int kBytes = 2;

  struct Stretch {
    static constexpr int kValues = kDepth, kLoads = 2, kLane = 8;
    Words low, high;

    /// `row` is g's; k counts this lane's beginning in.
    __device__ void load(const Weights& w, size_t row, int k) {
      const Bf16* at = static_cast<const Bf16*>(w.values) + row * w.k + k;
      low = load16_once(at);
      high = load16_once(at + static_cast<size_t>(8) * w.k);
    }
    /// By the same values of K of 8·Tiles rows of x.
    template <int Tiles>
    __device__ void multiply(float (&sums)[Tiles][4], const Bf16* const (&x)[Tiles], int k) const {
#pragma unroll
      for (int i = 0; i < Tiles; ++i) multiply32(sums[i], low, high, load16(x[i] + k));
    }
  };

  struct Scale {
    __device__ void load(const Weights&, int, int) {}
  };
  static __device__ Words eight(const std::uint8_t* at, const Scale&) { return load16(at); }
};

/// 8-bit weights are widened to bf16 in registers, where they are whole: a group's scale is for its sum.
template <class Format>
struct ByteWeights {
  static constexpr int kBytes = 1;

  struct Stretch {
    static constexpr int kValues = kGroup, kHalves = 2, kLoads = 2 * kHalves, kLane = 16;
    Words low[kHalves], high[kHalves];  // 16 values each, 64 along K from the next
    float scale_low, scale_high;

    __device__ void load(const Weights& w, size_t row, int k) {
      const std::uint8_t* at = static_cast<const std::uint8_t*>(w.values) + row * w.k + k;
#pragma unroll
      for (int half = 0; half < kHalves; ++half) {
        low[half] = load16_once(at + 64 * half);
        high[half] = load16_once(at + static_cast<size_t>(8) * w.k + 64 * half);
      }
      const Bf16* scale = w.scales + (row / kStrip * (w.k / kGroup) + k / kGroup) * kStrip + row % kStrip;
      scale_low = anabranch::ANABRANCH_CUDA::widen(scale[0]);
      scale_high = anabranch::ANABRANCH_CUDA::widen(scale[8]);
    }
    template <int Tiles>
    __device__ void multiply(float (&sums)[Tiles][4], const Bf16* const (&x)[Tiles], int k) const {
      float group[Tiles][4] = {};
#pragma unroll
      for (int half = 0; half < kHalves; ++half) {
#pragma unroll
        for (int word = 0; word < 4; word += 2) {
          const Words a0 = widen8<Format>(low[half].word[word], low[half].word[word + 1]);
          const Words a1 = widen8<Format>(high[half].word[word], high[half].word[word + 1]);
#pragma unroll
          for (int i = 0; i < Tiles; ++i) {
            multiply32(group[i], a0, a1, load16(x[i] + k + 64 * half + 4 * word));
          }
        }
      }
#pragma unroll
      for (int i = 0; i < Tiles; ++i) {
#pragma unroll
        for (int at = 0; at < 4; ++at) {
          sums[i][at] = fmaf(group[i][at], at < 2 ? scale_low : scale_high, sums[i][at]);
        }
      }
    }
  };

  /// Many rows have no registers for a group's sums: there each weight is scaled, and rounded once more.
  struct Scale {
    Bf16 value;

    /// For the values from `k` on, well before they are read; of the last row where `row` is beyond it.
    __device__ void load(const Weights& w, int row, int k) {
      if (k % kGroup != 0) return;
      row = row < w.n ? row : w.n - 1;
      const auto group = static_cast<size_t>(row / kStrip) * (w.k / kGroup) + k / kGroup;
      value = w.scales[group * kStrip + row % kStrip];
    }
  };
  static __device__ Words eight(const std::uint8_t* at, const Scale& scale) {
    const TwoWords bytes = load8(at);
    Words out = widen8<Format>(bytes.word[0], bytes.word[1]);
#pragma unroll
    for (std::uint32_t& pair : out.word) pair = scale2(pair, scale.value);
    return out;
  }
};

/// Where the silu(gate) · up of row and strip is to stand, from its first gate on.
__device__ inline Bf16* gates_at(const Gemm& p, int row, int strip) {
  const int width = (p.w.n / 2 + kGroup - 1) / kGroup * kGroup;
  return p.gates + static_cast<size_t>(row) * width + strip * kGates;
}

// ---- few rows ------------------------------------------------------------------------------------

/// 16 rows of weights by 8·Tiles rows of x a block. Its kSplits warps take every kSplits-th stretch of
/// K, each lane 16 bytes of a row at a time, and their sums are added in warp order.
template <class Kind, int Tiles, int kSplits>
__global__ void __launch_bounds__(kSplits* kWarp) skinny(Gemm p) {
  using Stretch = typename Kind::Stretch;
  constexpr int kAhead = (Tiles <= 2 ? 8 : 4) / Stretch::kLoads;  // stretches of weights under way
  constexpr int kStride = kSplits * Stretch::kValues;
  __shared__ float part[kSplits][Tiles * 8][kStrip + 1];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, t = lane % 4;
  const int first = static_cast<int>(blockIdx.y) * Tiles * 8;
  const int depth = p.w.k;
  const size_t weights = static_cast<size_t>(blockIdx.x) * kStrip + g;
  const Bf16* x[Tiles];
#pragma unroll
  for (int i = 0; i < Tiles; ++i) {
    const int row = first + 8 * i + g;
    x[i] = p.x + static_cast<size_t>(row < p.m ? row : p.m - 1) * depth;
  }
  float sums[Tiles][4] = {};
  int k = warp * Stretch::kValues + t * Stretch::kLane;
  const auto* asked = static_cast<const std::uint8_t*>(p.w.values) + (weights * depth + k) * Kind::kBytes;
  const size_t eight_rows = static_cast<size_t>(8) * depth * Kind::kBytes;
#pragma unroll
  for (int ahead = 0; ahead < kAhead; ++ahead, asked += kStride * Kind::kBytes) {
    if (k + ahead * kStride >= depth) break;
    prefetch(asked);
    prefetch(asked + eight_rows);
  }
  await_previous();
#pragma unroll 1
  for (; k + (kAhead - 1) * kStride < depth; k += kAhead * kStride) {
    Stretch a[kAhead];
#pragma unroll
    for (int ahead = 0; ahead < kAhead; ++ahead) a[ahead].load(p.w, weights, k + ahead * kStride);
#pragma unroll
    for (int ahead = 0; ahead < kAhead; ++ahead) a[ahead].multiply(sums, x, k + ahead * kStride);
  }
#pragma unroll 1
  for (; k < depth; k += kStride) {
    Stretch a;
    a.load(p.w, weights, k);
    a.multiply(sums, x, k);
  }
#pragma unroll
  for (int i = 0; i < Tiles; ++i) {
    part[warp][8 * i + 2 * t][g] = sums[i][0];
    part[warp][8 * i + 2 * t + 1][g] = sums[i][1];
    part[warp][8 * i + 2 * t][g + 8] = sums[i][2];
    part[warp][8 * i + 2 * t + 1][g + 8] = sums[i][3];
  }
  __syncthreads();
  const int strip = static_cast<int>(blockIdx.x);
  const auto summed = [&](int i, int j) {
    float sum = part[0][i][j];
#pragma unroll
    for (int split = 1; split < kSplits; ++split) sum += part[split][i][j];
    return p.bias ? sum + p.bias[strip * kStrip + j] : sum;
  };
  if (p.gates) {
    for (int at = static_cast<int>(threadIdx.x); at < Tiles * 8 * kGates; at += kSplits * kWarp) {
      const int i = at / kGates, j = at % kGates;
      if (first + i >= p.m) continue;
      gates_at(p, first + i, strip)[j] = narrow(silu(summed(i, j)) * summed(i, j + kGates));
    }
    return;
  }
  for (int at = static_cast<int>(threadIdx.x); at < Tiles * 8 * kStrip; at += kSplits * kWarp) {
    const int i = at / kStrip, j = at % kStrip;
    const int row = first + i, column = strip * kStrip + j;
    if (row >= p.m || column >= p.w.n) continue;
    const float sum = summed(i, j);
    float* out = p.out + static_cast<size_t>(row) * p.w.n + column;
    *out = p.accumulate ? *out + sum : sum;
  }
}

/// Where there are few strips, more warps share each, so that all of the device reads. That depends on
/// the weights alone: sums must not depend on the number of rows.
template <class Kind, int Tiles>
void launch_skinny(const Gemm& p, cudaStream_t stream) {
  constexpr unsigned kManyStrips = 256;
  const auto strips = static_cast<unsigned>((p.w.n + kStrip - 1) / kStrip);
  const dim3 grid(strips, static_cast<unsigned>((p.m + 8 * Tiles - 1) / (8 * Tiles)));
  if (strips >= kManyStrips) launch(skinny<Kind, Tiles, 4>, grid, dim3(4 * kWarp), 0, stream, p);
  else launch(skinny<Kind, Tiles, 8>, grid, dim3(8 * kWarp), 0, stream, p);
}

// ---- many rows -----------------------------------------------------------------------------------

constexpr int kTile = 128;  // rows of x, and of w, a block
constexpr int kStages = 4;
constexpr int kTileThreads = 256;

/// `Bytes` of each of kTile rows, from `first` on, into shared memory. Where rows end, the last stands
/// in for what is beyond.
template <int Bytes>
__device__ void fetch_rows(std::uint8_t* to, const void* from, size_t stride, int first, int rows) {
  constexpr int kPieces = Bytes / 16;
#pragma unroll
  for (int part = 0; part < kTile * kPieces / kTileThreads; ++part) {
    const int at = static_cast<int>(threadIdx.x) + part * kTileThreads;
    int row = first + at / kPieces;
    row = row < rows ? row : rows - 1;
    copy16(to + at * 16,
           static_cast<const std::uint8_t*>(from) + static_cast<size_t>(row) * stride + at % kPieces * 16);
  }
}

/// A stage of shared memory: one stretch of K of this block's rows of x, then of w.
template <class Kind>
struct Stage {
  static constexpr int kRowX = kDepth * 2, kRowW = kDepth * Kind::kBytes;
  static constexpr int kBytes = kTile * (kRowX + kRowW);

  static __device__ void fetch(const Gemm& p, std::uint8_t* stage, int k) {
    const auto* w = static_cast<const std::uint8_t*>(p.w.values) + static_cast<size_t>(k) * Kind::kBytes;
    fetch_rows<kRowX>(stage, p.x + k, static_cast<size_t>(p.w.k) * 2,
                      static_cast<int>(blockIdx.y) * kTile, p.m);
    fetch_rows<kRowW>(stage + kTile * kRowX, w, static_cast<size_t>(p.w.k) * Kind::kBytes,
                      static_cast<int>(blockIdx.x) * kTile, (p.w.n + kStrip - 1) / kStrip * kStrip);
  }
};

/// 128 by 128 results a block, 64 by 32 a warp. Rows of a stage are 64 bytes, or 32 of 8-bit weights:
/// eight lanes' 16-byte reads of two rows, or sixteen lanes' 8-byte reads of four, fill all banks once.
template <class Kind>
__global__ void __launch_bounds__(kTileThreads, 2) tiled(Gemm p) {
  using Stage = Stage<Kind>;
#if defined(ANABRANCH_EMULATE)
  auto* shared = static_cast<std::uint8_t*>(emulate::dynamic_shared());
#else
  extern __shared__ __align__(128) std::uint8_t shared[];
#endif
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, t = lane % 4;
  const int warp_row = warp / 4 * 64, warp_column = warp % 4 * 32;
  const int steps = p.w.k / kDepth;
  await_previous();
  for (int stage = 0; stage < kStages - 1; ++stage) {
    if (stage < steps) Stage::fetch(p, shared + stage * Stage::kBytes, stage * kDepth);
    close_copies();
  }
  const int weights = static_cast<int>(blockIdx.x) * kTile + warp_column + g;
  typename Kind::Scale scales[4];
  float sums[4][4][4] = {};
  for (int step = 0; step < steps; ++step) {
#pragma unroll
    for (int j = 0; j < 4; ++j) scales[j].load(p.w, weights + j * 8, step * kDepth);
    await_copies<kStages - 2>();
    __syncthreads();
    const int next = step + kStages - 1;
    if (next < steps) Stage::fetch(p, shared + next % kStages * Stage::kBytes, next * kDepth);
    close_copies();
    const std::uint8_t* stage = shared + step % kStages * Stage::kBytes;
    const std::uint8_t* x = stage + (warp_row + g) * Stage::kRowX + t * 16;
    const std::uint8_t* w =
        stage + kTile * Stage::kRowX + (warp_column + g) * Stage::kRowW + t * 8 * Kind::kBytes;
    Words b[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) b[j] = Kind::eight(w + j * 8 * Stage::kRowW, scales[j]);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const Words low = load16(x + i * 16 * Stage::kRowX), high = load16(x + (i * 16 + 8) * Stage::kRowX);
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
        if (row >= p.m || column >= p.w.n) continue;
        float sum = sums[i][j][at];
        if (p.bias) sum += p.bias[column];
        if (p.gates) {  // every second eight columns are ups
          if (j % 2 == 1) continue;
          float up = sums[i][j + 1][at];
          if (p.bias) up += p.bias[column + kGates];
          gates_at(p, row, column / kStrip)[column % kStrip] = narrow(silu(sum) * up);
          continue;
        }
        float* out = p.out + static_cast<size_t>(row) * p.w.n + column;
        *out = p.accumulate ? *out + sum : sum;
      }
    }
  }
}

template <class Kind>
void launch_tiled(const Gemm& p, cudaStream_t stream) {
  const size_t shared = size_t{kStages} * Stage<Kind>::kBytes;
#if !defined(ANABRANCH_EMULATE)
  static const cudaError_t raised = cudaFuncSetAttribute(
      tiled<Kind>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
  (void)raised;  // a launch that needs more than it may have fails, and that is seen
#endif
  const dim3 grid(static_cast<unsigned>((p.w.n + kTile - 1) / kTile),
                  static_cast<unsigned>((p.m + kTile - 1) / kTile));
  launch(tiled<Kind>, grid, dim3(kTileThreads), shared, stream, p);
}

template <class Kind>
void launch_gemm(const Gemm& p, cudaStream_t stream) {
  if (p.m <= 8) launch_skinny<Kind, 1>(p, stream);
  else if (p.m <= 16) launch_skinny<Kind, 2>(p, stream);
  else if (p.m <= 32) launch_skinny<Kind, 4>(p, stream);
  else if (p.m <= kFewRows || p.invariant) launch_skinny<Kind, 8>(p, stream);
  else launch_tiled<Kind>(p, stream);
}

}  // namespace

void gemm(const Gemm& p, cudaStream_t stream) {
  switch (p.w.type) {
    case WeightType::kInt8: return launch_gemm<ByteWeights<Int8>>(p, stream);
    case WeightType::kFp8: return launch_gemm<ByteWeights<Fp8>>(p, stream);
    default: return launch_gemm<Bf16Weights>(p, stream);
  }
}

}  // namespace anabranch::ANABRANCH_CUDA
