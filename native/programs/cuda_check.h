// Checks of the CUDA backend. Compiled twice: for a GPU, and with the kernels emulated on the CPU.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "backends/backend.h"

namespace anabranch {

/// Reports one check. `wrong` says what failed and is empty for a pass.
using Report = void (*)(const std::string& name, const std::string& wrong);

namespace cuda {
/// Runs those of the checks that `only` names: "kernels", "wide" and, of the model in each folder,
/// "models" and "adapters", its logits against the CPU backend's.
void check_backend(const std::vector<std::string>& folders, const BackendOptions& options,
                   const std::set<std::string>& only, Report report);
}  // namespace cuda
namespace emulated {
void check_backend(const std::vector<std::string>& folders, const BackendOptions& options,
                   const std::set<std::string>& only, Report report);
}

}  // namespace anabranch
