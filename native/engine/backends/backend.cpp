#include "backends/backend.h"

#include <charconv>
#include <cstdio>

#if defined(ANABRANCH_WITH_CUDA)
#include "backends/cuda/backend.h"
#endif
#include "error.h"
#include "model/four_bit.h"
#include "model/tensor_manifest.h"

namespace anabranch {

WeightType weight_type_of(const std::string& name) {
  for (WeightType type : {WeightType::kBF16, WeightType::kInt8, WeightType::kInt4, WeightType::kFp8,
                          WeightType::kF32}) {
    if (name == name_of(type)) return type;
  }
  throw bad_argument("dtype must be \"bf16\", \"int8\", \"int4\", \"fp8\" or \"fp32\", not \"" +
                     name + "\"");
}

namespace {

WeightType stored_weight_type(const ModelConfig& config, const Checkpoint& weights) {
  auto out = WeightType::kBF16;
  for (const LayerManifest& layer : tensor_manifest(config).layers) {
    for (const LinearSpec* linear :
         {&layer.q, &layer.k, &layer.v, &layer.output, &layer.gate, &layer.up, &layer.down}) {
      const Tensor& tensor = weights.get(linear->weight);
      if (four_bit_format(tensor)) return WeightType::kInt4;
      if (!is_float(tensor.dtype)) out = WeightType::kInt8;
    }
  }
  return out;
}

/// Why the first GPU, which must exist, can't be used, or "" if it can; asked once.
const std::string& first_gpu_problem() {
#if defined(ANABRANCH_WITH_CUDA)
  static const std::string problem = cuda::problem_of(0);
#else
  static const std::string problem;
#endif
  return problem;
}

/// Whether `device` "auto" means a GPU, if the first one can be used: a code path asks for the CPU,
/// and only the CPU computes with fp32 weights.
bool prefers_gpu(const BackendOptions& options) {
  return options.weight_type != WeightType::kF32 && options.code_path.empty() && cuda_devices() > 0;
}

}  // namespace

WeightType weight_type_for(const ModelConfig& config, const Checkpoint& weights,
                           const BackendOptions& options) {
  return options.stored_weight_type ? stored_weight_type(config, weights) : options.weight_type;
}

KvType kv_type_of(const std::string& name) {
  if (name == "auto") return KvType::kAuto;
  if (name == "fp8") return KvType::kFp8;
  throw bad_argument("kvDtype must be \"auto\" or \"fp8\", not \"" + name + "\"");
}

int cuda_devices() {
#if defined(ANABRANCH_WITH_CUDA)
  return cuda::devices();
#else
  return -1;
#endif
}

namespace {

std::unique_ptr<Backend> make_cuda_backend(const ModelConfig& config, const Checkpoint& weights,
                                           const BackendOptions& options, int device) {
#if defined(ANABRANCH_WITH_CUDA)
  if (device < cuda_devices()) {
    const std::string problem = device == 0 ? first_gpu_problem() : cuda::problem_of(device);
    if (!problem.empty()) {
      throw Error(ErrorCode::kFailedPrecondition, problem + "; or give --device cpu");
    }
    return cuda::make_backend(config, weights, options, device);
  }
  throw Error(ErrorCode::kFailedPrecondition,
              cuda_devices() == 0
                  ? "no CUDA driver responds on this machine; give --device cpu"
                  : "this machine has " + std::to_string(cuda_devices()) +
                        " CUDA devices, numbered from 0, and no cuda:" + std::to_string(device));
#else
  (void)config, (void)weights, (void)options, (void)device;
  throw Error(
      ErrorCode::kFailedPrecondition,
      "this build has no CUDA backend because no nvcc was found; install the CUDA toolkit and "
      "build again, or give --device cpu");
#endif
}

}  // namespace

std::unique_ptr<Backend> make_backend(const ModelConfig& config, const Checkpoint& weights,
                                      const BackendOptions& options) {
  const std::string& device = options.device;
  if (device == "cpu") return make_cpu_backend(config, weights, options);
  if (device.empty() || device == "auto") {
    if (!prefers_gpu(options)) return make_cpu_backend(config, weights, options);
    if (first_gpu_problem().empty()) return make_cuda_backend(config, weights, options, 0);
    std::fprintf(stderr, "%s; running on the CPU\n", first_gpu_problem().c_str());
    return make_cpu_backend(config, weights, options);
  }
  int number = 0;
  const char* const end = device.data() + device.size();
  if (!device.starts_with("cuda:") || device.size() < 6 || device.size() > 8 ||
      std::from_chars(device.data() + 5, end, number).ptr != end || number < 0) {
    throw bad_argument("device must be \"auto\", \"cpu\" or \"cuda:N\", not \"" + device + "\"");
  }
  return make_cuda_backend(config, weights, options, number);
}

}  // namespace anabranch
