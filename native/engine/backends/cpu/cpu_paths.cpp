#include "backends/cpu/cpu_paths.h"

namespace anabranch {

std::vector<std::string> cpu_paths() {
  std::vector<std::string> out;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    if (__builtin_cpu_supports("avx512vnni")) {
      if (__builtin_cpu_supports("avx512bf16")) out.emplace_back("avx512bf16");
      out.emplace_back("avx512vnni");
    }
    out.emplace_back("avx512");
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) out.emplace_back("avx2");
#endif
  return out;
}

}  // namespace anabranch

#ifdef ANABRANCH_PRINT_CPU_PATHS  // CMake asks which kernels to build

#include <cstdio>

int main() {
  bool first = true;
  for (const std::string& path : anabranch::cpu_paths()) {
    std::printf("%s%s", first ? "" : ";", path.c_str());
    first = false;
  }
}

#endif
