// The devices of this machine: how many there are, whether this build can use them, and their
// memory bandwidth, to which benchmarks compare the engine's.
#include <algorithm>
#include <chrono>
#include <string>

#include "backends/cuda/backend.h"
#include "backends/cuda/kernels.h"
#include "backends/cuda/memory.h"

namespace anabranch::ANABRANCH_CUDA {

#if !defined(ANABRANCH_EMULATE)

int devices() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

namespace {

std::string described(int device) {
  cudaDeviceProp properties{};
  std::string out = "cuda:" + std::to_string(device);
  if (cudaGetDeviceProperties(&properties, device) != cudaSuccess) return out;
  return out + " (" + properties.name + ", compute capability " + std::to_string(properties.major) +
         "." + std::to_string(properties.minor) + ")";
}

}  // namespace

/// A driver that answers is not enough: the build may have no code for the device's architecture,
/// or the device may be broken, or taken by another process.
std::string problem_of(int device) {
  try {
    check(cudaSetDevice(device), "selecting the device");
    const Pinned<int> answer(1);
    answer.data()[0] = 0;
    probe(answer.data(), Queue());
    const cudaError_t error = cudaGetLastError();
    if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorUnsupportedPtxVersion) {
      return described(device) + " can't be used: this build has kernels for " +
             ANABRANCH_CUDA_ARCHITECTURES +
             " only; build with -DANABRANCH_CUDA_ARCHITECTURES=native";
    }
    check(error, "starting a kernel");
    check(cudaDeviceSynchronize(), "running a kernel");
    if (answer.data()[0] == kProbeAnswer) return "";
    return described(device) + " can't be used: a kernel ran without effect";
  } catch (const Error& error) {
    return described(device) + " can't be used: " + error.what();
  }
}

#endif

double copy_bandwidth(int device) {
  constexpr int kPasses = 10;
  size_t bytes = size_t{1} << 20;
#if !defined(ANABRANCH_EMULATE)
  check(cudaSetDevice(device), "selecting the device");
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "reading free memory");
  bytes = std::min(size_t{2} << 30, free / 3);
#else
  (void)device;
#endif
  const Array<std::byte> from(bytes, "a copy"), to(bytes, "a copy");
  check(cudaMemset(from.data(), 0x5a, bytes), "clearing memory");
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
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
