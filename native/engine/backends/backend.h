// What computes. The engine knows a backend only through this page.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kv/blocks.h"
#include "model/config.h"
#include "model/weight_types.h"
#include "model/safetensors.h"
#include "sampling/sampler.h"

namespace anabranch {

/// A stretch of KV that a row attends to: tokens 0 … length-1 of one segment.
struct Span {
  const int* blocks = nullptr;  // [ceil(length / kBlockTokens)]
  int length = 0;
};

/// One token to forward. Rows of a step may attend to KV that the same step writes.
struct Row {
  int token = 0;
  int position = 0;
  int block = 0;   // where its own K and V go
  int offset = 0;
  int first_span = 0;  // its context: spans [first_span, first_span + spans) of the batch,
  int spans = 0;       // in context order, the last one ending with the row itself
  int logits = -1;     // row of the logits output, -1 for none
};

/// One ragged step: decode rows of all lanes of all requests, and prefill chunks.
struct Batch {
  std::vector<Row> rows;
  std::vector<Span> spans;
  int logits_rows = 0;

  void clear() {
    rows.clear();
    spans.clear();
    logits_rows = 0;
  }
};

/// A row of the logits output, and how a token is to be chosen from it.
struct SamplingRow {
  int row = 0;
  SamplingInput input;
};

/// Owned and called by one thread. Every output depends only on the model and on the row's own
/// context: neither on the other rows of the batch nor on their number (docs/design.md, section 5).
class Backend {
 public:
  virtual ~Backend() = default;

  /// Words for people and for `Started.backend`, such as "cpu avx2 bf16".
  virtual std::string name() const = 0;
  virtual const ModelConfig& config() const = 0;
  virtual int total_blocks() const = 0;
  virtual int max_rows() const = 0;  // rows that one forward() takes
  /// Rows of prefill that make one step worth its while.
  virtual int prefill_rows() const = 0;

  /// Runs the model over the batch. Its logits, [batch.logits_rows, vocabulary] fp32, stay with the
  /// backend until the next call.
  virtual void forward(const Batch& batch) = 0;
  /// Raw logits of a row [vocabulary]; not after sample() had it.
  virtual std::span<const float> logits(int row) = 0;
  /// A token for every pick, in their order; one pick a row.
  virtual std::vector<SampledToken> sample(std::span<const SamplingRow> picks) = 0;

  /// Bytes of weights read by one step, for reports of bandwidth.
  virtual std::uint64_t weight_bytes() const = 0;

  /// Bytes of KV that the last forward() read, what rows share counted once.
  virtual std::uint64_t kv_bytes() const = 0;
};

/// The type that name_of() calls so. Throws Error where there is none.
WeightType weight_type_of(const std::string& name);
/// The same of "auto" and "fp8".
KvType kv_type_of(const std::string& name);

struct BackendOptions {
  std::string device;                      // "cpu", "cuda:N", or "auto": a GPU where one answers
  WeightType weights = WeightType::kBF16;
  KvType kv = KvType::kAuto;
  int threads = 0;                         // 0: one a core
  std::uint64_t kv_bytes = 0;              // 0: a quarter of free memory, 1 GiB at the most
  int max_rows = 0;                        // 0: what the backend thinks best
  bool deterministic = false;              // on a GPU: the same bits whatever the batch; a CPU always
  bool overlap = true;                     // on a GPU: kernels begin while the ones before them still run
  bool library = true;                     // on a GPU: prompts' bf16 products by cuBLASLt, where it is built in
  std::string code_path;                   // empty: the best this CPU has
};

/// Devices that the CUDA backend can use; -1 where this build has no CUDA.
int cuda_devices();

/// The backend that `options.device` names. Throws Error where this build or machine has none such.
std::unique_ptr<Backend> make_backend(const ModelConfig& config, const Checkpoint& weights,
                                      const BackendOptions& options);

std::unique_ptr<Backend> make_cpu_backend(const ModelConfig& config, const Checkpoint& weights,
                                          const BackendOptions& options);

}  // namespace anabranch
