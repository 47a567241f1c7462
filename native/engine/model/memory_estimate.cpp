#include "model/memory_estimate.h"

#include <cmath>

#include "model/tensor_manifest.h"

namespace anabranch {
namespace {

/// Values along K that share a bf16 scale in int8 and fp8 weights.
constexpr double kScaledTogether = 128;

std::uint64_t elements_of(const TensorSpec& spec) {
  std::uint64_t out = 1;
  for (const std::int64_t extent : spec.shape) out *= static_cast<std::uint64_t>(extent);
  return out;
}

/// Elements of a model by how backends store them.
struct Elements {
  std::uint64_t layers = 0;   // of the linear layers' weights
  std::uint64_t vectors = 0;  // norms and biases, fp32 in both backends
  std::uint64_t head = 0;
  std::uint64_t embedding = 0;
};

Elements count(const TensorManifest& manifest) {
  Elements out;
  for (const LayerManifest& layer : manifest.layers) {
    for (const LinearSpec* linear :
         {&layer.q, &layer.k, &layer.v, &layer.output, &layer.gate, &layer.up, &layer.down}) {
      out.layers +=
          static_cast<std::uint64_t>(linear->n()) * static_cast<std::uint64_t>(linear->k());
    }
  }
  out.head = elements_of(manifest.head.weight);
  out.embedding = elements_of(manifest.embedding);
  for (const TensorSpec& spec : manifest.tensors()) {
    if (spec.shape.size() == 1) out.vectors += elements_of(spec);
  }
  return out;
}

double bytes_per_weight(WeightType type) {
  switch (type) {
    case WeightType::kF32:
      return 4;
    case WeightType::kBF16:
      return 2;
    case WeightType::kInt8:
    case WeightType::kFp8:
      return 1 + 2 / kScaledTogether;
  }
  return 0;
}

/// K or V of one head and token.
std::uint64_t kv_head_bytes(int head_dim, WeightType weights, KvType kv) {
  const auto size = static_cast<std::uint64_t>(head_dim);
  if (kv == KvType::kFp8) return size + sizeof(float);
  return size * (weights == WeightType::kF32 ? 4 : 2);
}

}  // namespace

std::vector<MemoryEstimate> memory_estimates(const ModelConfig& config, const Checkpoint& weights) {
  const TensorManifest manifest = tensor_manifest(config);
  for (const TensorSpec& spec : manifest.tensors()) weights.get(spec);
  const Elements elements = count(manifest);
  const std::uint64_t mapped_embedding =
      bytes_of(weights.get(manifest.embedding).dtype, elements.embedding);

  std::vector<MemoryEstimate> out;
  const auto add = [&](bool gpu, WeightType type, KvType kv) {
    const double width = bytes_per_weight(type);
    const bool head = !gpu || !config.tied_embeddings || type != WeightType::kBF16;
    const std::uint64_t packed = elements.layers + (head ? elements.head : 0);
    const std::uint64_t embedding = gpu ? elements.embedding * 2 : mapped_embedding;
    out.push_back({.gpu = gpu,
                   .weights = type,
                   .kv = kv,
                   .weight_bytes = static_cast<std::uint64_t>(std::ceil(packed * width)) +
                                   elements.vectors * sizeof(float) + embedding,
                   .kv_token_bytes = 2 * kv_head_bytes(config.head_dim, type, kv) *
                                     static_cast<std::uint64_t>(config.kv_heads) *
                                     static_cast<std::uint64_t>(config.layers)});
  };
  for (const WeightType type : {WeightType::kF32, WeightType::kBF16, WeightType::kInt8}) {
    add(false, type, KvType::kAuto);
  }
  for (const WeightType type : {WeightType::kBF16, WeightType::kInt8, WeightType::kFp8}) {
    for (const KvType kv : {KvType::kAuto, KvType::kFp8}) add(true, type, kv);
  }
  return out;
}

}  // namespace anabranch
