// Number formats and hashes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace anabranch {

inline float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Round to nearest, ties to even; NaN stays NaN.
inline std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float from_fp16(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fu;
  const std::uint32_t fraction = bits & 0x3ffu;
  if (exponent == 0) {
    const float tiny = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -tiny : tiny;
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (fraction << 13));
  return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (fraction << 13));
}

/// FNV-1a, 64 bit, going on from `state`.
inline std::uint64_t fnv1a(std::uint64_t state, const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < size; ++i) state = (state ^ bytes[i]) * 1099511628211ull;
  return state;
}

/// A hash of many bytes, at about the speed of reading them: eight FNV-like sums over 64-bit words
/// side by side, then FNV-1a over the sums and the tail. Tells checkpoints apart; not cryptographic.
inline std::uint64_t hash_bulk(std::uint64_t state, const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  std::uint64_t sums[8];
  for (int i = 0; i < 8; ++i) sums[i] = state + static_cast<std::uint64_t>(i);
  size_t at = 0;
  for (; at + sizeof sums <= size; at += sizeof sums) {
    for (int i = 0; i < 8; ++i) {
      std::uint64_t word;
      std::memcpy(&word, bytes + at + 8 * i, 8);
      sums[i] = (sums[i] ^ word) * 0x9E3779B97F4A7C15ull;
      sums[i] ^= sums[i] >> 29;
    }
  }
  state = fnv1a(state, sums, sizeof sums);
  return fnv1a(state, bytes + at, size - at);
}

}  // namespace anabranch
