// How much memory a model takes, before it is loaded.
#pragma once

#include <cstdint>
#include <vector>

#include "model/checkpoint.h"
#include "model/config.h"
#include "model/weight_types.h"

namespace anabranch {

/// One way to run a model. The bytes are those of weights and KV; scratch buffers are small beside
/// them.
struct MemoryEstimate {
  bool gpu = false;
  WeightType weights = WeightType::kBF16;
  KvType kv = KvType::kAuto;
  std::uint64_t weight_bytes = 0;    // on a CPU with the embedding, which stays mapped
  std::uint64_t kv_token_bytes = 0;  // K and V of one token in all layers
};

/// Every combination of formats that a backend has, whether or not this machine has the device.
/// Throws Error naming the first tensor that is missing or has another shape.
std::vector<MemoryEstimate> memory_estimates(const ModelConfig& config, const Checkpoint& weights);

}  // namespace anabranch
