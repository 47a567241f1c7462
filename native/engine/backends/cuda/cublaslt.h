// Prefill GEMMs with bf16 weights by cuBLASLt, in builds where CMake found it.
#pragma once

#if defined(ANABRANCH_WITH_CUBLASLT)

#include <cublasLt.h>

#include <map>
#include <optional>
#include <tuple>

#include "backends/cuda/kernels.h"
#include "backends/cuda/memory.h"

namespace anabranch::ANABRANCH_CUDA {

class CublasLt {
 public:
  CublasLt();
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  /// Like tiled_gemm(), with cuBLASLt's own order of sums. Writes args.out, or, if it is given, the
  /// product in bf16 to bf16_out [m, w.n]. Returns false, having done nothing, if
  /// cuBLASLt has no algorithm for this shape.
  bool multiply(const Gemm& args, Bf16* bf16_out, cudaStream_t stream);

 private:
  static constexpr size_t kWorkspace = size_t{32} << 20;
  /// m, n, k, distance of rows of the output, bias, accumulate, bf16 out.
  using Shape = std::tuple<int, int, int, int, bool, bool, bool>;

  cublasLtHandle_t handle_ = nullptr;
  Array<std::byte> workspace_{kWorkspace, "cuBLASLt"};
  /// The heuristic's answers so far.
  std::map<Shape, std::optional<cublasLtMatmulAlgo_t>> algorithms_;
};

}  // namespace anabranch::ANABRANCH_CUDA

#endif
