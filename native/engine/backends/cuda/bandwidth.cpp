// The device's memory bandwidth, to which benchmarks compare the engine's.
#include <algorithm>
#include <chrono>

#include "backends/cuda/backend.h"
#include "backends/cuda/memory.h"

namespace anabranch::ANABRANCH_CUDA {

double copy_bandwidth(int device, std::uint64_t bytes, int passes) {
#if !defined(ANABRANCH_EMULATE)
  check(cudaSetDevice(device), "selecting the device");
#else
  (void)device;
#endif
  const Array<std::byte> from(bytes, "a copy"), to(bytes, "a copy");
  check(cudaMemset(from.data(), 0x5a, bytes), "clearing memory");
  double best = 0;
  for (int pass = 0; pass < passes; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    check(cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice, cudaStream_t{}),
          "copying");
    check(cudaStreamSynchronize(cudaStream_t{}), "copying");
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * static_cast<double>(bytes) / elapsed.count());
  }
  return best;
}

}  // namespace anabranch::ANABRANCH_CUDA
