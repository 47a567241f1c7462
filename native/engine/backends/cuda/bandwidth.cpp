// The speed that all others are held against.
#include <algorithm>
#include <chrono>

#include "backends/cuda/backend.h"
#include "backends/cuda/memory.h"

namespace anabranch::ANABRANCH_CUDA {

double copy_bandwidth(int device, std::uint64_t bytes, int passes) {
#if !defined(ANABRANCH_EMULATE)
  check(cudaSetDevice(device), "choosing the device");
#else
  (void)device;
#endif
  const Array<std::byte> from(bytes, "a copy"), to(bytes, "a copy");
  check(cudaMemset(from.data(), 0x5a, bytes), "a copy");
  double best = 0;
  for (int pass = 0; pass < passes; ++pass) {
    const auto began = std::chrono::steady_clock::now();
    check(cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice, cudaStream_t{}),
          "a copy");
    check(cudaStreamSynchronize(cudaStream_t{}), "a copy");
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    best = std::max(best, 2.0 * static_cast<double>(bytes) / took.count());
  }
  return best;
}

}  // namespace anabranch::ANABRANCH_CUDA
