// Quantization of fp32 weights to 8 bits while a checkpoint loads, and widening of weights of few
// bits for products of many rows.
#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"
#include "backends/cuda/weight_formats.cuh"

namespace anabranch::ANABRANCH_CUDA {
namespace {

/// One quantization group of one row per block; four values per lane.
/// Launch: grid (rows, k / kQuantGroup), block of one warp.
/// Moves 4 bytes in and 1 byte out per weight, and 2 bytes of scale per group.
template <class Format>
__global__ void quantize_kernel(QuantizeArgs p) {
  constexpr int kPerLane = kQuantGroup / kWarp;
  wait_on_previous_kernel();
  const int groups = p.k / kQuantGroup, group = static_cast<int>(blockIdx.y);
  const int lane = static_cast<int>(threadIdx.x);
  const float* from =
      p.rows + static_cast<size_t>(blockIdx.x) * p.k + group * kQuantGroup + lane * kPerLane;
  float values[kPerLane], max_magnitude = 0;
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {
    values[i] = from[i];
    max_magnitude = fmaxf(max_magnitude, fabsf(values[i]));
  }
  max_magnitude = warp_max(max_magnitude);
  // Values are divided by the scale after its rounding, because that is the one they are multiplied
  // by.
  const Bf16 scale = narrow(max_magnitude / Format::kLargest);
  const float inverse = widen(scale) > 1e-30f ? 1.0f / widen(scale) : 0.0f;
  const size_t row = static_cast<size_t>(p.first_row) + blockIdx.x;
  std::uint8_t* to = p.values + row * p.k + group * kQuantGroup + lane * kPerLane;
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) to[interleaved(i)] = Format::narrow(values[i] * inverse);
  if (lane == 0) p.scales[(row / kPanel * groups + group) * kPanel + row % kPanel] = scale;
}

/// Eight neighbours of one weight row per thread, kQuantGroup values of a panel's rows per block.
/// Launch: grid (panels, k / kQuantGroup), block of kWidenThreads.
/// Moves 1 byte in (int4: half of one) and 2 bytes out per weight.
constexpr int kWidenThreads = kPanel * kQuantGroup / 8;
template <class WeightFormat>
__global__ void widen_kernel(PackedWeights w, Bf16* out) {
  wait_on_previous_kernel();
  constexpr int kPerRow = kQuantGroup / 8;
  const int thread = static_cast<int>(threadIdx.x);
  const int row = static_cast<int>(blockIdx.x) * kPanel + thread / kPerRow;
  const int k = static_cast<int>(blockIdx.y) * kQuantGroup + thread % kPerRow * 8;
  *reinterpret_cast<Words4*>(out + static_cast<size_t>(row) * w.k + k) =
      WeightFormat::eight_at(w, row, k);
}

}  // namespace

void quantize(const QuantizeArgs& p, const Queue& queue) {
  const dim3 grid(static_cast<unsigned>(p.count), static_cast<unsigned>(p.k / kQuantGroup));
  launch(p.type == WeightType::kInt8 ? quantize_kernel<Int8> : quantize_kernel<Fp8>, grid,
         dim3(kWarp), 0, queue, p);
}

void widen(const PackedWeights& w, Bf16* out, const Queue& queue) {
  const dim3 grid(static_cast<unsigned>(panels_of(w.n)), static_cast<unsigned>(w.k / kQuantGroup));
  dispatch_quantized(w, [&](auto format) {
    launch(widen_kernel<decltype(format)>, grid, dim3(kWidenThreads), 0, queue, w, out);
  });
}

}  // namespace anabranch::ANABRANCH_CUDA
