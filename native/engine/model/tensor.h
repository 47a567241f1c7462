// Tensors of a checkpoint, as views into mapped files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/block_formats.h"

namespace anabranch {

/// A view of one tensor. Row-major; blocks of quantised types lie along the last dimension.
struct Tensor {
  Dtype dtype = Dtype::kF32;
  std::vector<std::int64_t> shape;
  const std::uint8_t* data = nullptr;  // [product of shape] elements of dtype, unaligned
  /// Not 0: the rows of each head of this size are stored with the two halves of a RoPE pair beside
  /// each other (GGUF's order for llama); to_float() puts them into Hugging Face's order.
  int interleaved_head_dim = 0;
};

/// What a tensor of a checkpoint must be.
struct TensorSpec {
  std::string name;
  std::vector<std::int64_t> shape;
};

/// Bytes of `elements` elements; a multiple of the type's block.
std::uint64_t bytes_of(Dtype dtype, std::uint64_t elements);

/// "[2, 3]"
std::string shape_text(const std::vector<std::int64_t>& shape);

/// Converts `count` elements of `tensor`, from element `first` on, to fp32.
void to_float(const Tensor& tensor, size_t first, size_t count, float* out);

}  // namespace anabranch
