// How the rest of the engine creates the CUDA backend.
#pragma once

#include <memory>

#include "backends/backend.h"

namespace anabranch {

namespace cuda {
/// The number of devices whose driver answers; 0 if there is none.
int devices();
/// Bytes per second, read and written, of a large copy within device memory: the best of `passes`.
double copy_bandwidth(int device, std::uint64_t bytes, int passes);
std::unique_ptr<Backend> make_backend(const ModelConfig& config, const Checkpoint& weights,
                                      const BackendOptions& options, int device);
}  // namespace cuda

namespace emulated {
double copy_bandwidth(int device, std::uint64_t bytes, int passes);
/// The same backend with its kernels emulated on the CPU, for checks.
std::unique_ptr<Backend> make_backend(const ModelConfig& config, const Checkpoint& weights,
                                      const BackendOptions& options, int device);
}  // namespace emulated

}  // namespace anabranch
