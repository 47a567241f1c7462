// How the rest of the engine creates the CUDA backend.
#pragma once

#include <memory>
#include <string>

#include "backends/backend.h"

namespace anabranch {

namespace cuda {
/// The number of devices whose driver answers; 0 if there is none.
int devices();
/// Why the device can't be used, as one sentence; empty if it can. Runs a kernel on it.
std::string problem_of(int device);
/// Bytes per second, read and written, of a large copy within device memory: the best of several
/// passes. Takes a third of what is free, at most 2 GiB, twice.
double copy_bandwidth(int device);
std::unique_ptr<Backend> make_backend(const ModelConfig& config, const Checkpoint& weights,
                                      const BackendOptions& options, int device);
}  // namespace cuda

namespace emulated {
double copy_bandwidth(int device);
/// The same backend with its kernels emulated on the CPU, for checks.
std::unique_ptr<Backend> make_backend(const ModelConfig& config, const Checkpoint& weights,
                                      const BackendOptions& options, int device);
}  // namespace emulated

}  // namespace anabranch
