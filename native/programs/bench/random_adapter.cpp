#include "bench/random_adapter.h"

#include <cmath>
#include <random>
#include <vector>

namespace anabranch {
namespace {

class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : random_(seed) {}

  std::vector<float> list(size_t count, float size) {
    std::normal_distribution<float> normal(0, size);
    std::vector<float> out(count);
    for (float& value : out) value = normal(random_);
    return out;
  }
  LowRank update(int rank, int k, int n) {
    const auto ranks = static_cast<size_t>(rank);
    const float size = 1 / std::sqrt(static_cast<float>(k));
    return {rank, k, n, list(ranks * static_cast<size_t>(k), size),
            list(ranks * static_cast<size_t>(n), 0.1f)};
  }

 private:
  std::mt19937_64 random_;
};

}  // namespace

std::shared_ptr<ServedAdapter> random_adapter(const ModelConfig& config, std::uint64_t id,
                                              const AdapterRanks& ranks, bool trains_tokens) {
  Numbers numbers(id);
  auto out = std::make_shared<ServedAdapter>();
  out->name = "random-" + std::to_string(id);
  Adapter& adapter = out->weights;
  adapter.id = id;
  adapter.vocabulary = config.vocabulary + (trains_tokens ? 1 : 0);
  const int q = config.heads * config.head_dim, kv = config.kv_heads * config.head_dim;
  for (int i = 0; i < config.layers; ++i) {
    AdapterLayer layer;
    layer.q = numbers.update(ranks.q, config.hidden, q);
    layer.k = numbers.update(ranks.k, config.hidden, kv);
    layer.v = numbers.update(ranks.v, config.hidden, kv);
    layer.output = numbers.update(ranks.output, q, config.hidden);
    layer.gate = numbers.update(ranks.gate, config.hidden, config.intermediate);
    layer.up = numbers.update(ranks.up, config.hidden, config.intermediate);
    layer.down = numbers.update(ranks.down, config.intermediate, config.hidden);
    adapter.layers.push_back(std::move(layer));
  }
  if (!trains_tokens) return out;
  const auto hidden = static_cast<size_t>(config.hidden);
  adapter.embedding = {{2, config.vocabulary}, numbers.list(2 * hidden, 0.5f)};
  adapter.head = {{1, 5, config.vocabulary}, numbers.list(3 * hidden, 0.1f)};
  return out;
}

}  // namespace anabranch
