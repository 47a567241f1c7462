// Prompts' products of bf16 weights by cuBLASLt, in builds where CMake found it.
#pragma once

#if defined(ANABRANCH_WITH_CUBLASLT)

#include <cublasLt.h>

#include <map>
#include <optional>
#include <tuple>

#include "backends/cuda/kernels.h"
#include "backends/cuda/memory.h"

namespace anabranch::ANABRANCH_CUDA {

class Library {
 public:
  Library();
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  /// As gemm(), for bf16 weights, in an order of sums of the library's own; or `rounded` [m, w.n] becomes the product
  /// in bf16. False, and nothing done, where it has no algorithm for this shape.
  bool multiply(const Gemm& gemm, Bf16* rounded, cudaStream_t stream);

 private:
  static constexpr size_t kWorkspace = size_t{32} << 20;
  using Shape = std::tuple<int, int, int, bool, bool, bool>;  // m, n, k, bias, accumulate, rounded

  cublasLtHandle_t handle_ = nullptr;
  Array<std::byte> workspace_{kWorkspace, "cuBLASLt"};
  std::map<Shape, std::optional<cublasLtMatmulAlgo_t>> algorithms_;  // as they were asked for
};

}  // namespace anabranch::ANABRANCH_CUDA

#endif
