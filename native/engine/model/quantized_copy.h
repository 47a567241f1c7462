// Writes the weights of a model as --dtype int4 or int8 makes them while it loads, so that the copy
// loads with the same weights and in less time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/weight_types.h"

namespace anabranch {

struct QuantizedCopyOptions {
  std::string model;                    // a Hugging Face folder, or a GGUF file
  std::string file;                     // to write: safetensors in MLX's format, or GGUF
  WeightType type = WeightType::kInt4;  // or kInt8
  int threads = 0;                      // 0: one per core
  /// Called from the calling thread with the weights that are done and all of them.
  std::function<void(std::uint64_t, std::uint64_t)> progress = [](auto, auto) {};
};

/// Weights of one kind of the copy.
struct QuantizedPart {
  std::uint64_t tensors = 0;
  std::uint64_t weights = 0;
  /// Squared error over the squared values, of the tensors that were quantized; 0 without any.
  double error = 0;
};

struct QuantizedCopy {
  QuantizedPart four_bit;   // quantized now
  QuantizedPart eight_bit;  // quantized now
  QuantizedPart kept;       // copied as they are: vectors, and what has few bits already
  std::uint64_t bytes = 0;  // of the file
  /// Scales of eight-bit groups that GGUF's fp16 does not hold exactly.
  std::uint64_t inexact_scales = 0;
  /// Of MLX's format: the group of four-bit and of eight-bit layers, and the names of the latter.
  int four_bit_group = 0, eight_bit_group = 0;
  std::vector<std::string> eight_bit_layers;
};

/// Throws Error if the model can't be run, is quantized already or has weights that are not finite,
/// or the file can't be written; what was written of it is left.
QuantizedCopy write_quantized_copy(const QuantizedCopyOptions& options);

}  // namespace anabranch
