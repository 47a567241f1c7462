// Checks the CPU kernels on every code path of this CPU against plain loops in double precision,
// and that a row's result does not depend on other rows. Then the CUDA backend's kernels and whole
// models, on a GPU or emulated. Needs no Node.
#include <cstdio>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "check/checks.h"
#include "cuda_check.h"

namespace anabranch {

extern const Kernels kernels_pairs;

namespace {

const char kHelp[] =
    "engine-check [options] [MODEL...]\n\n"
    "Checks the engine's arithmetic on this machine, one line per check. The exit status is 1 if a "
    "check\n"
    "fails. Given model folders, it compares the CUDA backend's logits with fp32 weights on the "
    "CPU (on a\n"
    "GPU, or emulated if there is none) and serves the first model from several threads.\n\n"
    "  --only LIST     of host (the CPU's kernels), kernels, wide, models, adapters (the CUDA "
    "backend) and\n"
    "                  serving\n"
    "  --no-overlap    GPU: start each kernel only after the previous one has ended\n"
    "  --no-library    GPU: our own kernels for prefill GEMMs, even if cuBLASLt is built in\n";

int failures = 0;

}  // namespace

void report(const std::string& name, const std::string& wrong) {
  if (!wrong.empty()) ++failures;
  std::printf("%s %s%s%s\n", wrong.empty() ? "ok  " : "FAIL", name.c_str(),
              wrong.empty() ? "" : ": ", wrong.c_str());
}

namespace {

void check_kernels() {
  std::vector<const Kernels*> tables;
  for (const std::string& path : runnable_kernels()) tables.push_back(&select_kernels(path));
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    tables.push_back(&kernels_pairs);
  }
#endif
  for (const Kernels* table : tables) {
    const Kernels& kernels = *table;
    check_rms_norm(kernels);
    check_activations(kernels);
    check_low_rank(kernels);
    if (kernels.pairs) check_bf16_pairs(kernels);
    for (WeightType type : {WeightType::kF32, WeightType::kBF16}) {
      check_gemm(kernels, type);
      check_attention(kernels, type);
    }
    check_gemm(kernels, WeightType::kInt8);
    check_gemm(kernels, PanelFormat::beside_int4());
    for (const FourBitFormat& format :
         {FourBitFormat{32, FourBitOffset::kEight}, FourBitFormat{32, FourBitOffset::kMin},
          FourBitFormat{96, FourBitOffset::kEight},
          FourBitFormat{128, FourBitOffset::kZeroPoint}}) {
      check_gemm(kernels, PanelFormat(format));
    }
  }
}

/// Everything that runs on the CPU in any case.
void check_host() {
  check_philox();
  check_sampler();
  check_truncation();
  check_attention_plan();
  check_window_plan();
  check_plan_balance();
  check_step_time();
  check_branch_schedule();
  check_grammar_masks();
  check_kernels();
}

/// The CUDA backend, on a GPU or emulated.
void check_backend(const std::vector<std::string>& folders, const BackendOptions& options,
                   const std::set<std::string>& only) {
  try {
#if defined(ANABRANCH_WITH_CUDA)
    const bool device = cuda_devices() > 0;
    if (device) cuda::check_backend(folders, options, only, report);
#else
    const bool device = false;
#endif
#if defined(ANABRANCH_WITH_EMULATION)
    if (!device) emulated::check_backend(folders, options, only, report);
#else
    (void)folders, (void)options, (void)only, (void)device;
#endif
  } catch (const std::exception& error) {
    report("CUDA backend", error.what());
  }
}

void check_server(const std::string& folder) {
  try {
    check_serving(folder);
  } catch (const std::exception& error) {
    report("serving", error.what());
  }
}

}  // namespace
}  // namespace anabranch

int main(int count, char** arguments) {
  using namespace anabranch;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // earlier results are shown even if the GPU aborts us
  std::vector<std::string> folders;
  BackendOptions options;
  std::set<std::string> only = {"host", "kernels", "wide", "models", "adapters", "serving"};
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    if (argument == "--help") return std::fputs(kHelp, stdout), 0;
    if (argument == "--only" && i + 1 < count) {
      std::istringstream list(arguments[++i]);
      std::set<std::string> chosen;
      for (std::string item; std::getline(list, item, ',');) {
        if (!only.contains(item))
          return std::fprintf(stderr, "--only has no %s; see --help\n", item.c_str()), 2;
        chosen.insert(item);
      }
      if (chosen.empty()) return std::fputs("--only is empty; see --help\n", stderr), 2;
      only = chosen;
    } else if (argument == "--no-overlap")
      options.overlap_kernels = false;
    else if (argument == "--no-library")
      options.cublaslt = false;
    else if (argument.starts_with("-"))
      return std::fprintf(stderr, "unknown option %s; see --help\n", argument.c_str()), 2;
    else
      folders.push_back(argument);
  }
  if (folders.empty() && !only.contains("host") && !only.contains("kernels") &&
      !only.contains("wide"))
    return std::fputs("there is nothing to check: name a model\n", stderr), 2;
  if (only.contains("host")) check_host();
  check_backend(folders, options, only);
  if (only.contains("serving") && !folders.empty()) check_server(folders[0]);
  std::printf("%s\n", failures == 0 ? "all checks passed" : "checks failed");
  return failures == 0 ? 0 : 1;
}
