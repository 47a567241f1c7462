// How kernels read weights of each type, as a template parameter. Each type has these members:
//
// Skinny GEMM. A warp loads one slice of a panel at a time: kSliceK values along K of the panel's
// sixteen rows. In shared memory it has the order in which the lanes copied it: lane 4·g + t copied
// 16 bytes of row g and 16 of row g + 8; the kScaleBytes bytes of scales follow. multiply()
// multiplies it with fragments of x of eight values each, kFragments for a slice: lane 4·g + t has
// those from kLaneStride · t + kFragmentStride · f on, of row g.
//
// Widening. eight_at() returns the values of a row from `k` on in bf16; k is a multiple of 8.
#pragma once

#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {

struct Bf16Weights {
  static constexpr WeightType kType = WeightType::kBF16;
  static constexpr int kSliceK = kWarpK, kFragments = 1, kScaleBytes = 0;
  static constexpr int kLaneStride = 8, kFragmentStride = 0;

  static __device__ void copy_scales(const PackedWeights&, int, int, int, std::uint8_t*) {}
  /// sums += slice · x of 8·Tiles rows, from fragment `first` on.
  template <int Tiles>
  static __device__ void multiply(const PackedWeights&, const std::uint8_t* slice, int lane, int,
                                  const Words4 (&x)[Tiles][kFragments], float (&sums)[Tiles][4]) {
    const Words4 low = load16(slice + lane * 16), high = load16(slice + (kWarp + lane) * 16);
#pragma unroll
    for (int i = 0; i < Tiles; ++i) mma_k32(sums[i], low, high, x[i][0]);
  }
};

/// 8-bit weights. The skinny GEMM widens them to bf16 in registers, which is exact, and applies the
/// scale of a quantization group to the group's sums. Widened in memory, a scaled weight is rounded
/// to bf16 once more.
template <class Format>
struct ByteWeights {
  static constexpr WeightType kType = WeightType::kInt8;  // or fp8, which is as wide
  static constexpr int kSliceK = 2 * kWarpK, kFragments = 2, kScaleBytes = kPanel * 2;
  static constexpr int kLaneStride = 16, kFragmentStride = 8;

  static __device__ void copy_scales(const PackedWeights& w, int panel, int k, int lane,
                                     std::uint8_t* to) {
    const auto group = static_cast<size_t>(panel) * (w.k / kQuantGroup) + k / kQuantGroup;
    if (lane < kScaleBytes / 16) cp_async16(to + lane * 16, w.scales + group * kPanel + lane * 8);
  }
  template <int Tiles>
  static __device__ void multiply(const PackedWeights&, const std::uint8_t* slice, int lane, int,
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

  static __device__ Words4 eight_at(const PackedWeights& w, int row, int k) {
    const Words2 bytes =
        load8(static_cast<const std::uint8_t*>(w.values) + static_cast<size_t>(row) * w.k + k);
    const auto group = static_cast<size_t>(row / kPanel) * (w.k / kQuantGroup) + k / kQuantGroup;
    const Bf16 scale = w.scales[group * kPanel + row % kPanel];
    Words4 out = widen8<Format>(bytes.word[0], bytes.word[1]);
#pragma unroll
    for (std::uint32_t& pair : out.word) pair = scale2(pair, scale);
    return out;
  }
};

/// 4-bit weights. What is multiplied is q - 8, or q less the zero point: exact in bf16, and as
/// small as can be. A group of 32 to 128 values has one or more products of its own, whose sums are
/// scaled in fp32. With minima a product with ones gives the sums of x that they are multiplied
/// with.
template <bool HasMin>
struct FourBitWeights {
  static constexpr WeightType kType = WeightType::kInt4;
  static constexpr int kSliceK = 4 * kWarpK, kFragments = 4;
  static constexpr int kScaleBytes = kSliceK / kMinFourBitGroup * 2 * kPanel * 2;  // at most
  static constexpr int kLaneStride = 8, kFragmentStride = kWarpK;
  static_assert(kSliceK == kQuantGroup && kMinFourBitGroup == kWarpK);

  /// Groups of 32, 64 or 128 values in a slice, and the exponent of their number of kWarpK.
  static __device__ int groups_of(const PackedWeights& w) { return 4 >> shift_of(w); }
  static __device__ int shift_of(const PackedWeights& w) { return w.four_bit.group >> 6; }

  static __device__ void copy_scales(const PackedWeights& w, int panel, int k, int lane,
                                     std::uint8_t* to) {
    const int size = groups_of(w) * scales_of_group(w);
    const auto slice = static_cast<size_t>(panel) * (w.k / kSliceK) + k / kSliceK;
    if (lane * 8 < size) cp_async16(to + lane * 16, w.scales + slice * size + lane * 8);
  }
  template <int Tiles, int Count>
  static __device__ void multiply(const PackedWeights& w, const std::uint8_t* slice, int lane,
                                  int first, const Words4 (&x)[Tiles][Count],
                                  float (&sums)[Tiles][4]) {
    const Words4 low = load16(slice + lane * 16), high = load16(slice + (kWarp + lane) * 16);
    const auto* scales = reinterpret_cast<const std::uint16_t*>(slice + 2 * kWarp * 16) + lane / 4;
    const int size = scales_of_group(w), shift = shift_of(w);
    const bool has_zero_points = !HasMin && size > kPanel;
#pragma unroll
    for (int j = 0; j < Count; ++j) {
      const int f = first + j;
      const std::uint16_t* group = scales + (f >> shift) * size;
      const float scale_low = widen_fp16(group[0]), scale_high = widen_fp16(group[8]);
      const Bf16 centre_low = has_zero_points ? group[kPanel] : four_bit_centre(8);
      const Bf16 centre_high = has_zero_points ? group[kPanel + 8] : four_bit_centre(8);
      const Words4 a_low = levels(low.word[f], centre_low);
      const Words4 a_high = levels(high.word[f], centre_high);
      float min_low = 0, min_high = 0;
      if constexpr (HasMin) {
        min_low = fmaf(8.0f, scale_low, widen_fp16(group[kPanel]));
        min_high = fmaf(8.0f, scale_high, widen_fp16(group[kPanel + 8]));
      }
#pragma unroll
      for (int i = 0; i < Tiles; ++i) {
        float unscaled[4] = {};
        mma_k32(unscaled, a_low, a_high, x[i][j]);
        if constexpr (HasMin) {
          const Words4 ones = {{kOnes, kOnes, kOnes, kOnes}};
          float totals[4] = {};
          mma_k32(totals, ones, ones, x[i][j]);
#pragma unroll
          for (int at = 0; at < 4; ++at)
            sums[i][at] = fmaf(totals[at], at < 2 ? min_low : min_high, sums[i][at]);
        }
#pragma unroll
        for (int at = 0; at < 4; ++at)
          sums[i][at] = fmaf(unscaled[at], at < 2 ? scale_low : scale_high, sums[i][at]);
      }
    }
  }

  static __device__ Words4 eight_at(const PackedWeights& w, int row, int k) {
    const auto* words = static_cast<const std::uint32_t*>(w.values) +
                        static_cast<size_t>(row) * (w.k / 8) + four_bit_place(k).word;
    const int size = scales_of_group(w);
    const auto group = static_cast<size_t>(row / kPanel) * (w.k / kSliceK * groups_of(w)) +
                       (k / kWarpK >> shift_of(w));
    const std::uint16_t* scales = w.scales + group * size + row % kPanel;
    const float scale = widen_fp16(scales[0]);
    const bool has_zero_points = !HasMin && size > kPanel;
    const float min = HasMin ? fmaf(8.0f, scale, widen_fp16(scales[kPanel])) : 0.0f;
    Words4 out = levels(*words, has_zero_points ? scales[kPanel] : four_bit_centre(8));
#pragma unroll
    for (std::uint32_t& pair : out.word) {
      const float first = as_float(pair << 16), second = as_float(pair & 0xffff0000u);
      pair = narrow2(fmaf(scale, first, min), fmaf(scale, second, min));
    }
    return out;
  }

 private:
  static constexpr std::uint32_t kOnes = 0x3f803f80u;

  /// The eight q of a word, less a zero point, in bf16.
  static __device__ Words4 levels(std::uint32_t word, Bf16 centre) {
    const std::uint32_t centres = centre * 0x10001u;
    Words4 out;
#pragma unroll
    for (int pair = 0; pair < 4; ++pair)
      out.word[pair] = fma2((word >> (4 * pair) & 0x000f000fu) | 0x43004300u, kOnes, centres);
    return out;
  }
};

/// start(weights) with the struct above that reads w, whose type has fewer bits than bf16.
template <class Start>
void dispatch_quantized(const PackedWeights& w, Start start) {
  switch (w.type) {
    case WeightType::kInt4:
      if (w.four_bit.offset == FourBitOffset::kMin) return start(FourBitWeights<true>{});
      return start(FourBitWeights<false>{});
    case WeightType::kFp8:
      return start(ByteWeights<Fp8>{});
    default:
      return start(ByteWeights<Int8>{});
  }
}

/// The same for any type.
template <class Start>
void dispatch_weights(const PackedWeights& w, Start start) {
  if (w.type == WeightType::kBF16) return start(Bf16Weights{});
  dispatch_quantized(w, start);
}

}  // namespace anabranch::ANABRANCH_CUDA
