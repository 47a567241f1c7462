// The CUDA backend: weights, KV and scratch on one device. Its parts mirror the CPU backend's:
//
//   weights.cpp    loading and packing
//   adapter.cpp    the same of LoRA adapters
//   model.cpp      what the device holds: weights, KV cache, scratch
//   step.cpp       the description of a step, which the kernels read
//   forward.cpp    one forward pass over a ragged batch
//   sampling.cpp   logits and sampling
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "backends/cuda/adapter.h"
#include "backends/cuda/cublaslt.h"
#include "backends/cuda/kernels.h"
#include "backends/cuda/memory.h"
#include "backends/cuda/step.h"
#include "backends/cuda/weights.h"

namespace anabranch::ANABRANCH_CUDA {

class CudaBackend final : public Backend {
 public:
  CudaBackend(const ModelConfig& config, const Checkpoint& checkpoint,
              const BackendOptions& options, int device);
  ~CudaBackend() override;

  std::string name() const override;
  const ModelConfig& config() const override { return config_; }
  int total_blocks() const override { return total_blocks_; }
  int max_rows() const override { return max_rows_; }
  int prefill_rows() const override { return max_rows_; }
  int max_logits_rows() const override { return max_logits_rows_; }
  void prepare(Adapter& adapter) override;
  std::uint64_t weight_bytes() const override { return weights_.bytes_per_step; }
  std::uint64_t kv_bytes() const override;

  void forward(const Batch& batch) override;
  std::span<const float> logits(int row) override;
  std::vector<SampledToken> sample(std::span<const SamplingRow> rows) override;

 private:
  // ---- what the device holds: model.cpp
  /// CUDA's current device belongs to the calling thread, so each call from outside sets it.
  void select_device() const;
  int padded_dim() const { return static_cast<int>(round_up(config_.head_dim, kWarpK)); }
  bool fp8_kv() const { return kv_type_ == KvType::kFp8; }
  bool fuses_qkv_epilogue() const;
  size_t kv_value_bytes() const;
  size_t kv_head_bytes() const;
  size_t kv_token_bytes() const;
  int kv_blocks(std::uint64_t bytes) const;
  int logits_rows_that_fit() const;
  size_t widened_values() const;
  void allocate_scratch(int kv_blocks);
  void allocate_kv(int count);
  void allocate_logits(int stride);
  void make_room_for_adapters(const Batch& batch);

  // ---- one forward pass: forward.cpp
  void run(const Step& step);
  void launch_step(const Step& step);
  void embed(const Step& step);
  void project_qkv(const Step& step, const Layer& layer);
  void attend(const Step& step, const Layer& layer);
  void mlp(const Step& step, const Layer& layer, const Array<float>& next_norm);
  void adapt(const Step& step, const Layer& layer, AdaptedProduct product, Gemm& args);
  void compute_logits(const Step& step);

  Gemm product_of(const PackedLinear& w, const Bf16* x, int m) const;
  Gemm normed_product_of(const Step& step, const PackedLinear& w, const Array<float>& norm,
                         int rows, const int* source_rows);
  void multiply(const Gemm& args);
  bool adds_separately() const { return config_.post_norms || config_.residual_scale != 1; }
  void add_to_residual(const Step& step, Gemm args, const Array<float>& post_norm,
                       const Array<float>& next_norm);

  bool fuses_norms(const Step& step) const { return step.rows <= skinny_rows_ || deterministic_; }
  FusedNormOutput norm_output(const Step& step, const Array<float>& norm) const;
  void drop_graphs();

  // ---- sampling: sampling.cpp
  int vocabulary_of(int logits_row) const;
  void fetch_logits(int row);
  void sample_on_device(std::span<const SamplingRow> rows, const std::vector<size_t>& which,
                        std::vector<SampledToken>& out);

  ModelConfig config_;
  WeightType type_;
  KvType kv_type_;
  int device_;
  bool deterministic_;
  int max_rows_;
  int max_logits_rows_ = 0;
  int skinny_rows_ = kMaxSkinnyRows;  // up to which products are those for few rows
  std::string device_name_;
  Queue queue_;
#if defined(ANABRANCH_WITH_CUBLASLT)
  std::unique_ptr<CublasLt> cublaslt_;  // null: not used
#endif

  ModelWeights weights_;
  Array<std::byte> kv_;  // of all layers
  int total_blocks_ = 0;

  // Scratch of one forward pass. Widths of bf16 arrays are padded to kQuantGroup.
  Array<float> x_;                  // [max_rows, hidden], the residual stream
  Array<Bf16> normed_;              // [max_rows, hidden]
  Array<float> norm_squares_;       // [max_rows, panels_of(hidden)]
  Array<float> qkv_;                // [max_rows, (heads + 2 · kv_heads) · head_dim]
  Array<float> rope_tables_;        // [ropes, max_rows, head_dim / 2, 2]
  Array<float> added_;              // [max_rows, hidden], if adds_separately()
  Array<Bf16> q_;                   // [max_rows, heads, padded_dim()]
  Array<float> partials_;           // [partials of a wave, heads, head_dim + 2]
  Array<Bf16> attended_;            // [max_rows, heads · head_dim]
  Array<Bf16> gate_up_;             // [max_rows, 2 · intermediate], only for cuBLASLt
  Array<Bf16> gated_;               // [max_rows, intermediate]
  Array<float> split_k_workspace_;  // [kSplitKWorkspace], or empty
  Array<Bf16> widened_;             // as Gemm::widened
  Array<float> projected_;          // [max_rows, projected_stride_], as LowRankTerm::projected
  int projected_stride_ = 0;        // the most ranks of a step so far

  StepBuilder steps_;
#if !defined(ANABRANCH_EMULATE)
  /// Captured steps by what their kernels' arguments depend on: rows, logits rows, and max items of
  /// each window's attention.
  std::map<std::vector<int>, cudaGraphExec_t> graphs_;
#endif

  Array<float> logits_;       // [max_logits_rows, logits_stride_], of the last forward pass
  Pinned<float> logits_row_;  // [logits_stride_], one row of them
  int logits_stride_ = 0;     // the widest vocabulary of a step so far
  std::vector<int> logits_vocabularies_;  // of the last pass's logits rows
  StagingBuffer sampling_inputs_;
  Pinned<DeviceSampledToken> sampled_;  // [max_logits_rows], written by the device
};

}  // namespace anabranch::ANABRANCH_CUDA
