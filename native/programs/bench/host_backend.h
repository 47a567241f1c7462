// A backend that plans decode steps and computes nothing: with it, a step takes the time that the
// engine spends on the host.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "backends/attention_plan.h"
#include "backends/backend.h"

namespace anabranch {

class HostBackend final : public Backend {
 public:
  HostBackend(ModelConfig config, int blocks)
      : config_(std::move(config)),
        blocks_(blocks),
        plan_(blocks, blocks, config_.kv_heads, config_.heads / config_.kv_heads, 1) {}

  std::string name() const override { return "host"; }
  const ModelConfig& config() const override { return config_; }
  int total_blocks() const override { return blocks_; }
  int max_rows() const override { return 1 << 20; }
  int prefill_rows() const override { return max_rows(); }
  void forward(const Batch& batch) override {
    if (batch.rows.size() <= kMaxDecodeRows) plan_.build(batch);  // else there is a whole prompt
  }
  std::span<const float> logits(int) override { return nothing_; }
  std::vector<SampledToken> sample(std::span<const SamplingRow> rows) override {
    return std::vector<SampledToken>(rows.size());
  }
  std::uint64_t weight_bytes() const override { return 0; }
  std::uint64_t kv_bytes() const override { return 0; }

 private:
  static constexpr size_t kMaxDecodeRows = 2048;

  ModelConfig config_;
  int blocks_;
  AttentionPlan plan_;
  std::vector<float> nothing_ = std::vector<float>(static_cast<size_t>(config_.vocabulary));
};

}  // namespace anabranch
