// All checks of the CUDA backend in order.
#include "cuda_check.h"

#include "cuda_check/checks.h"

namespace anabranch::ANABRANCH_CUDA {

namespace {

void check_kernels(Report report) {
  for (WeightType type : {WeightType::kBF16, WeightType::kInt8, WeightType::kFp8})
    check_gemm(type, {}, report);
  for (const FourBitFormat& format :
       {FourBitFormat{32, FourBitOffset::kEight}, FourBitFormat{32, FourBitOffset::kMin},
        FourBitFormat{64, FourBitOffset::kZeroPoint}, FourBitFormat{128, FourBitOffset::kMin}})
    check_gemm(WeightType::kInt4, format, report);
  check_greedy_sampling(report);
  check_sampling(report);
}

}  // namespace

void check_backend(const std::vector<std::string>& folders, const BackendOptions& options,
                   const std::set<std::string>& only, Report report) {
  if (only.contains("kernels")) check_kernels(report);
  if (only.contains("wide")) check_wide_model(report);
  for (const std::string& folder : folders) {
    if (only.contains("models")) check_model(folder, options, report);
    if (only.contains("adapters")) check_adapters(folder, options, report);
  }
}

}  // namespace anabranch::ANABRANCH_CUDA
