#include <algorithm>

#include "backends/cpu/cpu_paths.h"
#include "backends/cpu/kernels.h"
#include "error.h"

namespace anabranch {

extern const Kernels kernels_plain;
extern const Kernels kernels_avx2;
extern const Kernels kernels_avx512;
extern const Kernels kernels_avx512vnni;
extern const Kernels kernels_avx512bf16;

namespace {

/// The tables of this build, the best first.
const std::vector<const Kernels*> built = {
#ifdef ANABRANCH_HAS_avx512bf16
    &kernels_avx512bf16,
#endif
#ifdef ANABRANCH_HAS_avx512vnni
    &kernels_avx512vnni,
#endif
#ifdef ANABRANCH_HAS_avx512
    &kernels_avx512,
#endif
#ifdef ANABRANCH_HAS_avx2
    &kernels_avx2,
#endif
    &kernels_plain};

std::vector<const Kernels*> runnable() {
  const auto paths = cpu_paths();
  std::vector<const Kernels*> out;
  for (const Kernels* table : built) {
    if (table == &kernels_plain || std::ranges::count(paths, table->name)) out.push_back(table);
  }
  return out;
}

}  // namespace

std::vector<std::string> runnable_kernels() {
  std::vector<std::string> names;
  for (const Kernels* kernels : runnable()) names.emplace_back(kernels->name);
  return names;
}

const Kernels& select_kernels(const std::string& path) {
  std::string known;
  for (const Kernels* kernels : runnable()) {
    if (path.empty() || path == kernels->name) return *kernels;
    known += (known.empty() ? "" : ", ") + std::string(kernels->name);
  }
  throw bad_argument("code path \"" + path + "\" does not run here; this CPU and build have " +
                     known);
}

}  // namespace anabranch
