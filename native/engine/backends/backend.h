// The interface between the engine and the code that runs the model on a CPU or a GPU.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kv/blocks.h"
#include "model/adapter.h"
#include "model/config.h"
#include "model/checkpoint.h"
#include "model/weight_types.h"
#include "sampling/sampler.h"

namespace anabranch {

/// A range of KV that a row attends to: tokens 0 … length-1 of one segment.
struct KvSpan {
  const int* blocks = nullptr;  // [ceil(length / kBlockTokens)]
  int length = 0;
  int start = 0;  // position of token 0; the others follow it
};

/// One input token of a forward pass. Rows may attend to KV that the same pass writes.
struct Row {
  int token = 0;
  int position = 0;
  int block = 0;        // its own K and V are written at this block
  int offset = 0;       // and this token of it
  int first_span = 0;   // its context: spans [first_span, first_span + num_spans) of the batch,
  int num_spans = 0;    // in context order; the last span ends with the row itself
  int logits_row = -1;  // its row in the logits output, or -1
  const Adapter* adapter = nullptr;  // that its request asks for, or null
};

/// The input of one step: decode rows of all lanes of all requests, and prefill chunks.
struct Batch {
  std::vector<Row> rows;
  std::vector<KvSpan> spans;
  int logits_rows = 0;

  void clear() {
    rows.clear();
    spans.clear();
    logits_rows = 0;
  }
};

/// A row of the logits output, and how to sample a token from it.
struct SamplingRow {
  int row = 0;
  SamplingInput input;
};

/// Owned and called by one thread. Every output depends only on the model and on the row's own
/// context, not on the other rows of the batch nor on their number (docs/design.md, section 5).
class Backend {
 public:
  virtual ~Backend() = default;

  /// A description such as "cpu avx2 bf16", also sent as `Started.backend`.
  virtual std::string name() const = 0;
  virtual const ModelConfig& config() const = 0;
  virtual int total_blocks() const = 0;
  virtual int max_rows() const = 0;  // of one forward()
  /// The number of prefill rows from which on a step runs at full efficiency.
  virtual int prefill_rows() const = 0;
  virtual int max_logits_rows() const { return max_rows(); }  // of one forward()

  /// Gives an adapter what rows that name it need of this backend. Thread-safe; called once, before
  /// any row has the adapter.
  virtual void prepare(Adapter& adapter) { (void)adapter; }

  /// Runs the model over the batch. The logits, [batch.logits_rows, vocabulary] fp32, stay in the
  /// backend until the next call.
  virtual void forward(const Batch& batch) = 0;
  /// Raw logits of one row, [vocabulary] of the model or of the row's adapter. Invalid after
  /// sample() has used the row.
  virtual std::span<const float> logits(int row) = 0;
  /// Samples a token for each of `rows`, in their order. Each logits row may appear once. Waits for
  /// the forward pass, even if there are no rows.
  virtual std::vector<SampledToken> sample(std::span<const SamplingRow> rows) = 0;

  /// Bytes of weights that one step reads, for bandwidth reports.
  virtual std::uint64_t weight_bytes() const = 0;

  /// Bytes of KV that the last forward() read; KV that rows share counts once.
  virtual std::uint64_t kv_bytes() const = 0;
};

/// The inverse of name_of(WeightType). Throws Error for an unknown name.
WeightType weight_type_of(const std::string& name);
/// KvType of "auto" or "fp8". Throws Error for another name.
KvType kv_type_of(const std::string& name);

struct BackendOptions {
  std::string device;  // "cpu", "cuda:N", or "auto" (empty, too): a GPU if one is usable
  WeightType weight_type = WeightType::kBF16;
  bool stored_weight_type = false;  // use the type that suits the checkpoint's tensors instead
  KvType kv_type = KvType::kAuto;
  int threads = 0;              // 0: one per core
  std::uint64_t kv_bytes = 0;   // 0: on a GPU 9/10 of free memory, else 1/4, at most 1 GiB
  int max_rows = 0;             // 0: the backend's default
  bool deterministic = false;   // GPU: bits don't depend on the batch; on a CPU they never do
  bool overlap_kernels = true;  // GPU: programmatic dependent launch
  /// GPU, with overlap: bytes of a product's weights to fetch ahead of the previous kernel's end.
  std::uint64_t prefetch_bytes = std::uint64_t{4} << 20;
  bool cublaslt = true;   // GPU: cuBLASLt for bf16 prefill GEMMs, if the build has it
  std::string code_path;  // CPU instruction set; empty: the best available
};

/// options.weight_type, or with stored_weight_type the one that suits the checkpoint's tensors:
/// int4 if linear layers have four bits, int8 if they have five to eight, else bf16.
WeightType weight_type_for(const ModelConfig& config, const Checkpoint& weights,
                           const BackendOptions& options);

/// The number of devices that the CUDA backend can use; -1 if this build has no CUDA.
int cuda_devices();

/// The backend that `options.device` names. Throws Error if this build or machine does not have it.
std::unique_ptr<Backend> make_backend(const ModelConfig& config, const Checkpoint& weights,
                                      const BackendOptions& options);

std::unique_ptr<Backend> make_cpu_backend(const ModelConfig& config, const Checkpoint& weights,
                                          const BackendOptions& options);

}  // namespace anabranch
