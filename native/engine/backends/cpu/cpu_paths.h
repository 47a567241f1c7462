// The instruction sets that have kernels of their own.
#pragma once

#include <string>
#include <vector>

namespace anabranch {

/// Those that this CPU runs beside plain, the best first; of all for which there are kernels,
/// whether they were built or not.
std::vector<std::string> cpu_paths();

}  // namespace anabranch
