// Weights that Hugging Face checkpoints hold as small integers, several to a 32-bit word: AWQ, GPTQ
// and compressed-tensors ("pack-quantized"), of four bits, where value = scale · (q - zero point),
// and MLX ("affine"), of four or eight bits, where value = scale · q + bias.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "model/four_bit.h"
#include "model/tensor.h"

namespace anabranch {

/// What a checkpoint's config.json says of its quantization.
struct QuantizationConfig {
  enum class Method { kAwq, kGptq, kCompressedTensors, kMlx };
  Method method = Method::kAwq;
  int group = 0;                // values along a row that share a scale
  bool zero_points = false;     // compressed-tensors: stored; the others always store them
  bool zeros_less_one = false;  // GPTQ: a stored zero point is one less than it means
  /// MLX: groups of the layers that have another size, by name.
  std::unordered_map<std::string, int> groups;

  int group_of(const std::string& layer) const;
};

/// Reads "quantization_config" of a folder's config.json, or MLX's "quantization"; nothing if it
/// has neither. Throws Error for
/// a method, a width or an option that is not supported, by name.
std::optional<QuantizationConfig> read_quantization(const std::string& folder);

/// One such layer, or an embedding, [n, k].
struct PackedInts {
  QuantizationConfig config;
  int bits = 4;
  int n = 0, k = 0;
  Tensor q;                      // int32: AWQ [k, n / 8], GPTQ [k / 8, n], else [n, k · bits / 32]
  Tensor scales;                 // AWQ and GPTQ [groups, n], else [n, groups]
  std::optional<Tensor> biases;  // MLX: as scales
  std::optional<Tensor> zeros;   // int32: [groups, n / 8]; compressed-tensors [n / 8, groups]
  std::optional<Tensor> groups;  // int32 [k]: the group of each input, if they were reordered

  int group_count() const { return (k + config.group - 1) / config.group; }
  int level(int row, int column) const;
  int group_of(int column) const;
  /// `count` elements from `first` on, row-major.
  void read(std::size_t first, std::size_t count, float* out) const;
  float scale(int row, int group) const;
  float bias(int row, int group) const;
  int zero_point(int row, int group) const;
  /// Bytes in the file.
  std::uint64_t bytes() const;
  /// Whether group g holds the inputs [g · group, (g + 1) · group).
  bool in_order() const;
};

/// Replaces the parts of such layers ("X.qweight", "X.scales", …) by the weights that they make
/// ("X.weight"). Throws Error naming the layer if a part is missing or has the wrong shape.
void compose_packed_ints(const std::string& file, const QuantizationConfig& config,
                         std::unordered_map<std::string, Tensor>& tensors);

}  // namespace anabranch
