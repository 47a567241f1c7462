// cuBLASLt is column-major: our row-major [m, n] is its [n, m]. So it computes outᵀ = w · xᵀ, and
// w, which it sees as [k, n], is transposed.
#include "backends/cuda/cublaslt.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

void check_cublas(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(ErrorCode::kInternal, std::string("cuBLASLt: ") + what + ": status " +
                                        std::to_string(static_cast<int>(status)));
}

/// A column-major matrix [rows, columns], whose columns are `distance` apart.
struct Layout : cublasLtMatrixLayoutOpaque_t {
  Layout(cudaDataType type, int rows, int columns, int distance) {
    check_cublas(cublasLtMatrixLayoutInit(this, type, static_cast<std::uint64_t>(rows),
                                          static_cast<std::uint64_t>(columns), distance),
                 "creating a matrix layout");
  }
};

struct MatmulDesc : cublasLtMatmulDescOpaque_t {
  explicit MatmulDesc(const float* bias) {
    check_cublas(cublasLtMatmulDescInit(this, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                 "describing a product");
    set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    if (!bias) return;
    // One value per row of D, in D's type.
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, T value) {
    check_cublas(cublasLtMatmulDescSetAttribute(this, attribute, &value, sizeof value),
                 "describing a product");
  }
};

}  // namespace

CublasLt::CublasLt() { check_cublas(cublasLtCreate(&handle_), "starting"); }
CublasLt::~CublasLt() { cublasLtDestroy(handle_); }

bool CublasLt::multiply(const Gemm& p, Bf16* bf16_out, cudaStream_t stream) {
  const int n = p.w.n, k = p.w.k, distance = bf16_out ? n : p.width();
  MatmulDesc product(p.bias);
  Layout w(CUDA_R_16BF, k, n, k), x(CUDA_R_16BF, k, p.m, k),
      out(bf16_out ? CUDA_R_16BF : CUDA_R_32F, n, p.m, distance);
  void* const to = bf16_out ? static_cast<void*>(bf16_out) : p.out;
  const Shape shape{p.m, n, k, distance, p.bias != nullptr, p.accumulate, bf16_out != nullptr};
  auto known = algorithms_.find(shape);
  if (known == algorithms_.end()) {
    cublasLtMatmulPreferenceOpaque_t preference;
    check_cublas(cublasLtMatmulPreferenceInit(&preference), "setting a preference");
    check_cublas(
        cublasLtMatmulPreferenceSetAttribute(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                             &kWorkspace, sizeof kWorkspace),
        "setting a preference");
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        handle_, &product, &w, &x, &out, &out, &preference, 1, &best, &found);
    std::optional<cublasLtMatmulAlgo_t> algorithm;
    if (status == CUBLAS_STATUS_SUCCESS && found > 0) algorithm = best.algo;
    known = algorithms_.emplace(shape, algorithm).first;
  }
  if (!known->second) return false;
  const float alpha = 1, beta = p.accumulate ? 1 : 0;
  check_cublas(cublasLtMatmul(handle_, &product, &alpha, p.w.values, &w, p.x, &x, &beta, to, &out,
                              to, &out, &*known->second, workspace_.data(), kWorkspace, stream),
               "a product");
  return true;
}

}  // namespace anabranch::ANABRANCH_CUDA
