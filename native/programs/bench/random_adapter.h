// LoRA adapters of random weights.
#pragma once

#include <memory>
#include <string>

#include "model/config.h"
#include "serving/served_adapter.h"

namespace anabranch {

/// Ranks of an adapter's updates; 0: none.
struct AdapterRanks {
  int q, k, v, output, gate, up, down;
};

/// With `trains_tokens`, also rows of the embedding and the head: of token 2 and of a new one, and
/// of tokens 1, 5 and the new one. `id` must differ from that of others.
std::shared_ptr<ServedAdapter> random_adapter(const ModelConfig& config, std::uint64_t id,
                                              const AdapterRanks& ranks, bool trains_tokens);

}  // namespace anabranch
