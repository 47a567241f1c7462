// The paths for many rows at a real model's width: tiled products, cuBLASLt and prefill attention,
// against the paths for few rows, which the other checks compare with plain arithmetic.
#include <unistd.h>

#include <filesystem>

#include "backends/cuda/backend.h"
#include "backends/cuda/runtime.h"
#include "bench/random_checkpoint.h"
#include "cuda_check/checks.h"

namespace anabranch::ANABRANCH_CUDA {

void check_wide_model(Report report) {
  if (kEmulated) return;  // a billion multiply-adds a token
  // Two layers of Qwen2.5-7B; a vocabulary that lets a score take thousands of rows at once.
  constexpr ModelShape kShape = {"wide", 3584, 2, 28, 4, 128, 18944, 8192, 8192, false};
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("anabranch-wide-" + std::to_string(getpid()));
  write_random_checkpoint(kShape, folder);
  const ModelConfig config = read_config(folder.string());
  const Checkpoint weights(folder.string());
  const std::vector<StructureRun> runs = random_text(config.vocabulary, {700, 300, 40});
  const auto logits = [&](WeightType type, bool deterministic, bool library) {
    BackendOptions options;
    options.weight_type = type;
    options.kv_bytes = std::uint64_t{256} << 20;
    options.deterministic = deterministic;
    options.cublaslt = library;
    return logits_of(*make_backend(config, weights, options, 0), runs, ResumeRule::kSum, 2048);
  };
  for (WeightType type :
       {WeightType::kBF16, WeightType::kInt8, WeightType::kInt4, WeightType::kFp8}) {
    const std::vector<float> want = logits(type, true, false);
    for (bool library : {false, true}) {
      const double error = nmse(logits(type, false, library), want);
      report(kName + "wide model, " + name_of(type) + (library ? ", cuBLASLt" : "") +
                 ", against the path for few rows: NMSE " + short_number(error),
             error <= 1e-3 ? "" : "above 0.001");
    }
  }
  std::filesystem::remove_all(folder);
}

}  // namespace anabranch::ANABRANCH_CUDA
