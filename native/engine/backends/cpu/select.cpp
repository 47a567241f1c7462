#include "error.h"
#include "backends/cpu/kernels.h"

namespace anabranch {

extern const Kernels kernels_plain;
#if defined(__x86_64__)
extern const Kernels kernels_avx2;
extern const Kernels kernels_avx512;
extern const Kernels kernels_avx512vnni;
extern const Kernels kernels_avx512bf16;
#endif

namespace {

std::vector<const Kernels*> runnable() {
  std::vector<const Kernels*> out;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    if (__builtin_cpu_supports("avx512vnni")) {
      if (__builtin_cpu_supports("avx512bf16")) out.push_back(&kernels_avx512bf16);
      out.push_back(&kernels_avx512vnni);
    }
    out.push_back(&kernels_avx512);
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    out.push_back(&kernels_avx2);
  }
#endif
  out.push_back(&kernels_plain);
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
  throw bad_argument("code path \"" + path + "\" does not run here; this CPU has " + known);
}

}  // namespace anabranch
