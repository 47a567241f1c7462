// cuBLASLt thinks in columns: our [m, n] is its [n, m], which is wᵀ as stored, transposed, times xᵀ.
#include "backends/cuda/library.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

void check_library(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(ErrorCode::kInternal,
              std::string("cuBLASLt: ") + what + ": status " + std::to_string(static_cast<int>(status)));
}

struct Layout : cublasLtMatrixLayoutOpaque_t {
  /// [rows, columns], column by column.
  Layout(cudaDataType type, int rows, int columns) {
    check_library(cublasLtMatrixLayoutInit(this, type, static_cast<std::uint64_t>(rows),
                                           static_cast<std::uint64_t>(columns), rows),
                  "a layout");
  }
};

struct Product : cublasLtMatmulDescOpaque_t {
  explicit Product(const float* bias) {
    check_library(cublasLtMatmulDescInit(this, CUBLAS_COMPUTE_32F, CUDA_R_32F), "a product");
    set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    if (!bias) return;
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);  // one for each of D's rows, of D's type
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, T value) {
    check_library(cublasLtMatmulDescSetAttribute(this, attribute, &value, sizeof value), "a product");
  }
};

}  // namespace

Library::Library() { check_library(cublasLtCreate(&handle_), "starting"); }
Library::~Library() { cublasLtDestroy(handle_); }

bool Library::multiply(const Gemm& p, Bf16* rounded, cudaStream_t stream) {
  const int n = p.w.n, k = p.w.k;
  Product product(p.bias);
  Layout w(CUDA_R_16BF, k, n), x(CUDA_R_16BF, k, p.m), out(rounded ? CUDA_R_16BF : CUDA_R_32F, n, p.m);
  void* const to = rounded ? static_cast<void*>(rounded) : p.out;
  const Shape shape{p.m, n, k, p.bias != nullptr, p.accumulate, rounded != nullptr};
  auto known = algorithms_.find(shape);
  if (known == algorithms_.end()) {
    cublasLtMatmulPreferenceOpaque_t preference;
    check_library(cublasLtMatmulPreferenceInit(&preference), "a preference");
    check_library(cublasLtMatmulPreferenceSetAttribute(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                       &kWorkspace, sizeof kWorkspace),
                  "a preference");
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        handle_, &product, &w, &x, &out, &out, &preference, 1, &best, &found);
    std::optional<cublasLtMatmulAlgo_t> algorithm;
    if (status == CUBLAS_STATUS_SUCCESS && found > 0) algorithm = best.algo;
    known = algorithms_.emplace(shape, algorithm).first;
  }
  if (!known->second) return false;
  const float one = 1, kept = p.accumulate ? 1 : 0;
  check_library(cublasLtMatmul(handle_, &product, &one, p.w.values, &w, p.x, &x, &kept, to, &out, to, &out,
                               &*known->second, workspace_.data(), kWorkspace, stream),
                "a product");
  return true;
}

}  // namespace anabranch::ANABRANCH_CUDA
