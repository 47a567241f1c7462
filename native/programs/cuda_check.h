// Checks of the CUDA backend, on a device or emulated.
#pragma once

#include <string>
#include <vector>

#include "backends/backend.h"

namespace anabranch {

/// How a check tells what it found: an empty `wrong` is well.
using Report = void (*)(const std::string& name, const std::string& wrong);

namespace cuda {
void check_backend(const std::vector<std::string>& folders, const BackendOptions& options, Report report);
}
namespace emulated {
void check_backend(const std::vector<std::string>& folders, const BackendOptions& options, Report report);
}

}  // namespace anabranch
