// The files of quantized_copy.h: where each tensor's parts lie, and their bytes. MLX's format:
// safetensors with "X.weight" (levels in 32-bit words), "X.scales" and "X.biases" for each layer.
// GGUF: Q4_1 and Q8_0 blocks, with the metadata of the original.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "model/eight_bit.h"
#include "model/four_bit.h"
#include "model/gguf.h"
#include "model/tensor.h"

namespace anabranch {

enum class QuantizedAs { kKept, kFourBit, kEightBit };

/// A tensor of the copy.
struct CopiedTensor {
  std::string name;
  const Tensor* source = nullptr;
  QuantizedAs as = QuantizedAs::kKept;

  std::int64_t rows() const { return source->shape.size() == 2 ? source->shape[0] : 1; }
  int columns() const { return static_cast<int>(source->shape.back()); }

  /// A stored tensor. Of one that is kept, the first part holds everything.
  struct Part {
    std::uint64_t at = 0;         // in the file
    std::uint64_t row_bytes = 0;  // 0: not there
  };
  std::array<Part, 3> parts = {};
};

/// The bytes of one row, by part.
using RowBytes = std::array<std::vector<std::uint8_t>, 3>;

/// Lays the tensors' parts out and returns the bytes before them. `group` is that of eight-bit
/// layers.
std::string lay_out_mlx(std::vector<CopiedTensor>& tensors, int group);
void encode_mlx(const FourBitRow& row, RowBytes& out);
void encode_mlx(const EightBitRow& row, int group, RowBytes& out);

std::string lay_out_gguf(std::vector<CopiedTensor>& tensors, const GgufModel& model, bool four_bit);
void encode_gguf(const FourBitRow& row, RowBytes& out);
/// Returns the number of scales that fp16 does not hold exactly.
int encode_gguf(const EightBitRow& row, RowBytes& out);

/// Bytes of the whole file after layout.
std::uint64_t end_of(const std::vector<CopiedTensor>& tensors);

}  // namespace anabranch
