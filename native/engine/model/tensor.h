// Tensors of a checkpoint, as views into mapped files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/block_formats.h"

namespace anabranch {

struct PackedInts;

/// A view of one tensor. Row-major; blocks of quantised types lie along the last dimension.
struct Tensor {
  Dtype dtype = Dtype::kF32;
  std::vector<std::int64_t> shape;
  const std::uint8_t* data = nullptr;  // [product of shape] elements of dtype, unaligned
  /// Of kPackedInts, which has no data of its own.
  std::shared_ptr<const PackedInts> packed;
};

/// What a tensor of a checkpoint must be.
struct TensorSpec {
  std::string name;
  std::vector<std::int64_t> shape;
};

/// Weights of an RMS norm: (stored + offset) · scale.
struct NormSpec {
  TensorSpec tensor;  // [size]
  float offset = 0;
  float scale = 1;
};

/// Bytes of `elements` elements; a multiple of the type's block.
std::uint64_t bytes_of(Dtype dtype, std::uint64_t elements);

/// Bytes of a tensor in its file.
std::uint64_t bytes_of(const Tensor& tensor);

/// "[2, 3]"
std::string shape_text(const std::vector<std::int64_t>& shape);

/// Converts `count` elements of `tensor`, from element `first` on, to fp32.
void to_float(const Tensor& tensor, size_t first, size_t count, float* out);

}  // namespace anabranch
