// The block-quantised tensor types of ggml, as GGUF files hold them: each block stores a few scales
// and low-bit values. Layouts follow ggml's public format documentation.
#pragma once

#include <cstddef>
#include <cstdint>

namespace anabranch {

/// How the elements of a stored tensor are encoded.
enum class Dtype {
  kF32,
  kF16,
  kBF16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kI32,         // of packed weights
  kPackedInts,  // a linear layer of packed_ints.h
};

/// Elements per block; 1 for plain types.
int block_elements(Dtype dtype);
/// Bytes per block.
int block_bytes(Dtype dtype);
const char* name_of(Dtype dtype);
/// Whether it is a plain float type.
inline bool is_float(Dtype dtype) {
  return dtype == Dtype::kF32 || dtype == Dtype::kF16 || dtype == Dtype::kBF16;
}

/// Converts one block of a block-quantised type to fp32, exactly.
void dequantize_block(Dtype dtype, const std::uint8_t* block, float* out);  // out [block_elements]

/// Reads one block of Q4_0, Q4_1 or Q4_K as values in 0..15 and, per 32 of them, a scale and a
/// minimum in fp16 (Q4_0: no minimum; it is -8 · scale). q [block_elements], scales and minima
/// [block_elements / 32].
void read_four_bit_block(Dtype dtype, const std::uint8_t* block, std::uint8_t* q,
                         std::uint16_t* scales, std::uint16_t* minima);

}  // namespace anabranch
