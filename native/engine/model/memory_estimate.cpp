#include "model/memory_estimate.h"

#include <cmath>

#include "model/four_bit.h"
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
    default:
      return 1 + 2 / kScaledTogether;
  }
}

/// Whether int4 weights keep four bits of the head.
bool has_four_bit_head(const TensorManifest& manifest, const Checkpoint& weights) {
  return four_bit_format(weights.get(manifest.head.weight)).has_value();
}

/// Bytes of int4 weights: linear layers by their own formats, and the head, if asked for.
std::uint64_t int4_bytes(const TensorManifest& manifest, const Checkpoint& weights, bool head) {
  double bytes = 0;
  const auto add = [&](const std::vector<const LinearSpec*>& together, bool head) {
    std::vector<const Tensor*> tensors;
    for (const LinearSpec* linear : together) tensors.push_back(&weights.get(linear->weight));
    const auto format = head ? four_bit_format(*tensors.front()) : common_four_bit_format(tensors);
    const double width = format ? format->bytes_per_weight() : bytes_per_weight(WeightType::kInt8);
    for (const LinearSpec* linear : together) {
      bytes += static_cast<double>(linear->n()) * linear->k() * width;
    }
  };
  for (const LayerManifest& layer : manifest.layers) {
    add({&layer.q, &layer.k, &layer.v}, false);
    add({&layer.output}, false);
    add({&layer.gate, &layer.up}, false);
    add({&layer.down}, false);
  }
  if (head) add({&manifest.head}, true);
  return static_cast<std::uint64_t>(std::ceil(bytes));
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
  const std::uint64_t mapped_embedding = bytes_of(weights.get(manifest.embedding));

  std::vector<MemoryEstimate> out;
  const auto add = [&](bool gpu, WeightType type, KvType kv) {
    // A GPU has the embedding in bf16 or int8; it is the head, too, if that has the same type.
    const bool eight_bits = type == WeightType::kInt8 || type == WeightType::kInt4;
    const WeightType embedding_type = eight_bits ? WeightType::kInt8 : WeightType::kBF16;
    const bool shared = gpu && config.tied_embeddings && type != WeightType::kFp8 &&
                        !(type == WeightType::kInt4 && has_four_bit_head(manifest, weights));
    const std::uint64_t packed = elements.layers + (shared ? 0 : elements.head);
    const std::uint64_t embedding =
        gpu ? static_cast<std::uint64_t>(elements.embedding * bytes_per_weight(embedding_type))
            : mapped_embedding;
    const std::uint64_t packed_bytes =
        type == WeightType::kInt4
            ? int4_bytes(manifest, weights, !shared)
            : static_cast<std::uint64_t>(std::ceil(packed * bytes_per_weight(type)));
    out.push_back({.gpu = gpu,
                   .weights = type,
                   .kv = kv,
                   .weight_bytes = packed_bytes + elements.vectors * sizeof(float) + embedding,
                   .kv_token_bytes = 2 * kv_head_bytes(config.head_dim, type, kv) *
                                     static_cast<std::uint64_t>(config.kv_heads) *
                                     static_cast<std::uint64_t>(config.layers)});
  };
  for (const WeightType type :
       {WeightType::kF32, WeightType::kBF16, WeightType::kInt8, WeightType::kInt4}) {
    add(false, type, KvType::kAuto);
  }
  for (const WeightType type :
       {WeightType::kBF16, WeightType::kInt8, WeightType::kInt4, WeightType::kFp8}) {
    for (const KvType kv : {KvType::kAuto, KvType::kFp8}) add(true, type, kv);
  }
  return out;
}

}  // namespace anabranch
