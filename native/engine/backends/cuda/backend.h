// The CUDA backend's door.
#pragma once

#include <memory>

#include "backends/backend.h"

namespace anabranch {

namespace cuda {
/// Devices whose driver answers; 0 where there is none.
int devices();
/// Bytes read and written a second by a large copy within the device.
double copy_bandwidth(int device, std::uint64_t bytes, int passes);
std::unique_ptr<Backend> make_backend(const ModelConfig& config, const Checkpoint& weights,
                                      const BackendOptions& options, int device);
}  // namespace cuda

namespace emulated {
double copy_bandwidth(int device, std::uint64_t bytes, int passes);
/// The same kernels on the CPU, for checks.
std::unique_ptr<Backend> make_backend(const ModelConfig& config, const Checkpoint& weights,
                                      const BackendOptions& options, int device);
}  // namespace emulated

}  // namespace anabranch
