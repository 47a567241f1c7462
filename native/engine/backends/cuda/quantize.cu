// 8-bit weights out of fp32 ones, once, while they are loaded.
#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

/// One group of one row a warp, four values a lane.
template <class Format>
__global__ void quantize_group(Quantize p) {
  constexpr int kEach = kGroup / kWarp;
  await_previous();
  const int groups = p.k / kGroup, group = static_cast<int>(blockIdx.y);
  const int lane = static_cast<int>(threadIdx.x);
  const float* from = p.rows + static_cast<size_t>(blockIdx.x) * p.k + group * kGroup + lane * kEach;
  float values[kEach], most = 0;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    values[i] = from[i];
    most = fmaxf(most, fabsf(values[i]));
  }
  most = warp_max(most);
  // The scale that is stored is the scale that counts.
  const Bf16 scale = narrow(most / Format::kLargest);
  const float inverse = widen(scale) > 1e-30f ? 1.0f / widen(scale) : 0.0f;
  const size_t row = static_cast<size_t>(p.first) + blockIdx.x;
  std::uint8_t* to = p.values + row * p.k + group * kGroup + lane * kEach;
#pragma unroll
  for (int i = 0; i < kEach; ++i) to[woven(i)] = Format::narrow(values[i] * inverse);
  if (lane == 0) p.scales[(row / kStrip * groups + group) * kStrip + row % kStrip] = scale;
}

}  // namespace

void quantize(const Quantize& p, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(p.count), static_cast<unsigned>(p.k / kGroup));
  launch(p.type == WeightType::kInt8 ? quantize_group<Int8> : quantize_group<Fp8>, grid, dim3(kWarp),
         0, stream, p);
}

}  // namespace anabranch::ANABRANCH_CUDA
