// All checks of the CUDA backend in order.
#include "cuda_check.h"

#include "cuda_check/checks.h"

namespace anabranch::ANABRANCH_CUDA {

void check_backend(const std::vector<std::string>& folders, const BackendOptions& options,
                   Report report) {
  for (WeightType type : {WeightType::kBF16, WeightType::kInt8, WeightType::kFp8})
    check_gemm(type, report);
  check_greedy_sampling(report);
  check_sampling(report);
  for (const std::string& folder : folders) check_model(folder, options, report);
}

}  // namespace anabranch::ANABRANCH_CUDA
