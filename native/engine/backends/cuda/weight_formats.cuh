// How the GEMMs read weights of each type, as a template parameter of their kernels. Each type has
// these members:
//
// kBytes: bytes per weight.
//
// Skinny GEMM. A warp loads one slice of a panel at a time: kSliceK values along K of the panel's
// sixteen rows. In shared memory it has the order in which the lanes copied it: lane 4·g + t copied
// 16 bytes of row g and 16 of row g + 8, from value kSliceK / 4 · t on; the kScaleBytes bytes of
// scales follow. multiply() multiplies it with kFragments fragments of x of eight values each.
//
// Tiled GEMM. load_eight() returns the eight values of a row that lane t multiplies, from shared
// memory.
#pragma once

#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {

struct Bf16Weights {
  static constexpr int kBytes = 2, kSliceK = kWarpK, kFragments = 1, kScaleBytes = 0;

  static __device__ void copy_scales(const PackedWeights&, int, int, int, std::uint8_t*) {}
  /// sums += slice · x of 8·Tiles rows.
  template <int Tiles>
  static __device__ void multiply(const std::uint8_t* slice, int lane,
                                  const Words4 (&x)[Tiles][kFragments], float (&sums)[Tiles][4]) {
    const Words4 low = load16(slice + lane * 16), high = load16(slice + (kWarp + lane) * 16);
#pragma unroll
    for (int i = 0; i < Tiles; ++i) mma_k32(sums[i], low, high, x[i][0]);
  }

  struct Scale {
    __device__ void load(const PackedWeights&, int, int) {}
  };
  static __device__ Words4 load_eight(const std::uint8_t* at, const Scale&) { return load16(at); }
};

/// 8-bit weights. The skinny GEMM widens them to bf16 in registers, which is exact, and applies the
/// scale of a quantization group to the group's sums.
template <class Format>
struct ByteWeights {
  static constexpr int kBytes = 1, kSliceK = 2 * kWarpK, kFragments = 2, kScaleBytes = kPanel * 2;

  static __device__ void copy_scales(const PackedWeights& w, int panel, int k, int lane,
                                     std::uint8_t* to) {
    const auto group = static_cast<size_t>(panel) * (w.k / kQuantGroup) + k / kQuantGroup;
    if (lane < kScaleBytes / 16) cp_async16(to + lane * 16, w.scales + group * kPanel + lane * 8);
  }
  template <int Tiles>
  static __device__ void multiply(const std::uint8_t* slice, int lane,
                                  const Words4 (&x)[Tiles][kFragments], float (&sums)[Tiles][4]) {
    const Words4 low = load16(slice + lane * 16), high = load16(slice + (kWarp + lane) * 16);
    float unscaled[Tiles][4] = {};
#pragma unroll
    for (int f = 0; f < kFragments; ++f) {
      const Words4 a_low = widen8<Format>(low.word[2 * f], low.word[2 * f + 1]);
      const Words4 a_high = widen8<Format>(high.word[2 * f], high.word[2 * f + 1]);
#pragma unroll
      for (int i = 0; i < Tiles; ++i) mma_k32(unscaled[i], a_low, a_high, x[i][f]);
    }
    const auto* scales = reinterpret_cast<const Bf16*>(slice + 2 * kWarp * 16) + lane / 4;
    const float scale_low = ANABRANCH_CUDA::widen(scales[0]),
                scale_high = ANABRANCH_CUDA::widen(scales[8]);
#pragma unroll
    for (int i = 0; i < Tiles; ++i) {
#pragma unroll
      for (int at = 0; at < 4; ++at)
        sums[i][at] = fmaf(unscaled[i][at], at < 2 ? scale_low : scale_high, sums[i][at]);
    }
  }

  /// The tiled GEMM has no registers for a second set of sums. It scales each weight instead, which
  /// rounds it to bf16 once more.
  struct Scale {
    Bf16 value;

    /// Loads the scale of `row` for the values from `k` on, well before it is used. Beyond the last
    /// row, that of the last row.
    __device__ void load(const PackedWeights& w, int row, int k) {
      if (k % kQuantGroup != 0) return;
      row = row < w.n ? row : w.n - 1;
      const auto group = static_cast<size_t>(row / kPanel) * (w.k / kQuantGroup) + k / kQuantGroup;
      value = w.scales[group * kPanel + row % kPanel];
    }
  };
  static __device__ Words4 load_eight(const std::uint8_t* at, const Scale& scale) {
    const Words2 bytes = load8(at);
    Words4 out = widen8<Format>(bytes.word[0], bytes.word[1]);
#pragma unroll
    for (std::uint32_t& pair : out.word) pair = scale2(pair, scale.value);
    return out;
  }
};

/// start(weights) with the struct above that reads `type`.
template <class Start>
void dispatch_weights(WeightType type, Start start) {
  switch (type) {
    case WeightType::kInt8:
      return start(ByteWeights<Int8>{});
    case WeightType::kFp8:
      return start(ByteWeights<Fp8>{});
    default:
      return start(Bf16Weights{});
  }
}

}  // namespace anabranch::ANABRANCH_CUDA
