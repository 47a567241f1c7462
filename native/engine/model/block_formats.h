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
};

/// Elements per block; 1 for plain types.
int block_elements(Dtype dtype);
/// Bytes per block.
int block_bytes(Dtype dtype);
const char* name_of(Dtype dtype);

/// Converts one block of a block-quantised type to fp32, exactly.
void dequantize_block(Dtype dtype, const std::uint8_t* block, float* out);  // out [block_elements]

}  // namespace anabranch
