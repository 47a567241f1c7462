// Eight-bit weights: up to 128 values along a row share a bf16 scale, and value = scale · q,
// q in -127..127. The packed weights of the CPU backend have the same values.
#pragma once

#include <cstdint>
#include <vector>

namespace anabranch {

inline constexpr int kEightBitGroup = 128;

/// One row of k values.
struct EightBitRow {
  std::vector<std::int8_t> q;         // [k]
  std::vector<std::uint16_t> scales;  // [groups], bf16
};

/// Quantizes k finite values. What they have become is left unchanged by doing it again.
void quantize_eight_bit(const float* values, int k, EightBitRow& out);

/// Replaces k values by what they are in eight bits.
void round_to_eight_bits(float* values, int k);

}  // namespace anabranch
