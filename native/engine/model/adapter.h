// A LoRA adapter in PEFT's format: low-rank updates of a model's linear layers (arXiv:2106.09685),
// and trained rows of its embedding and its head.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/checkpoint.h"
#include "model/config.h"

namespace anabranch {

/// y += B · (A · x). Rank 0: no update.
struct LowRank {
  int rank = 0;
  int k = 0;             // inputs
  int n = 0;             // outputs
  std::vector<float> a;  // [rank, k]
  std::vector<float> b;  // [rank, n]: PEFT's B, transposed, times its scale
};

/// Rows of an embedding or a head that replace the model's own, or follow them.
struct TokenRows {
  std::vector<int> tokens;  // ascending
  std::vector<float> rows;  // [tokens, hidden]

  /// The index of a token's row, or -1.
  int find(int token) const;
};

struct AdapterLayer {
  LowRank q, k, v, output, gate, up, down;
};

/// What a backend has of an adapter beside its weights here, such as copies on a device.
struct BackendAdapter {
  virtual ~BackendAdapter() = default;
};

struct Adapter {
  std::vector<AdapterLayer> layers;
  TokenRows embedding, head;
  int vocabulary = 0;             // the model's, or more if the adapter adds tokens
  std::uint64_t id = 0;           // unique in this process, from 1
  std::uint64_t fingerprint = 0;  // of the contents of its files
  std::shared_ptr<const BackendAdapter> on_backend;

  /// Frees the numbers of the updates and of the head: the backend has its own.
  void drop_updates();
};

/// Reads adapter_config.json and adapter_model.safetensors of `folder`, an adapter of the model
/// that `config` and `weights` are. Throws Error naming the file and the field or tensor, also for
/// what the engine does not support.
Adapter read_adapter(const std::string& folder, const ModelConfig& config,
                     const Checkpoint& weights);

}  // namespace anabranch
