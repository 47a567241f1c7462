// LoRA adapters on the device, and those of a step's rows.
#pragma once

#include <vector>

#include "backends/backend.h"
#include "backends/cuda/kernels.h"
#include "backends/cuda/memory.h"
#include "model/adapter.h"
#include "model/config.h"

namespace anabranch::ANABRANCH_CUDA {

/// The products of a layer that adapters update, in the order of DeviceAdapter::updates.
enum class AdaptedProduct { kQkv, kOutput, kGateUp, kDown };
constexpr int kAdaptedProducts = 4;

/// An adapter's weights in device memory, in the order in which the model's layers are packed.
class DeviceAdapter final : public BackendAdapter {
 public:
  /// `interleave_halves` as of load_weights(). Waits for the copy; uses no stream of others.
  DeviceAdapter(const Adapter& adapter, const ModelConfig& config, bool interleave_halves);

  /// [layers · kAdaptedProducts], on the device.
  const LowRankUpdate* updates() const { return updates_.data(); }
  /// The most rows of `a` that one of them has, and which of AdaptedProduct there are, by bit.
  int most_ranks() const { return most_ranks_; }
  unsigned products() const { return products_; }
  /// A token's trained embedding [hidden], on the device, or null.
  const float* embedding(int token) const;
  const TrainedRows& head() const { return head_; }
  int vocabulary() const { return vocabulary_; }

 private:
  class Packer;

  Array<float> values_;
  Array<LowRankUpdate> updates_;
  Array<int> head_tokens_;
  int most_ranks_ = 0;
  unsigned products_ = 0;
  std::vector<int> embedding_tokens_;  // ascending
  const float* embedding_rows_ = nullptr;
  size_t hidden_ = 0;
  TrainedRows head_;
  int vocabulary_ = 0;
};

/// The adapter of a row that has one.
inline const DeviceAdapter* device_adapter(const Row& row) {
  return static_cast<const DeviceAdapter*>(row.adapter->on_backend.get());
}

}  // namespace anabranch::ANABRANCH_CUDA
