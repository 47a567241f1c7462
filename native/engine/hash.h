// Non-cryptographic hashes, to tell checkpoints and configurations apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>

namespace anabranch {

/// FNV-1a, 64 bit, continued from `state`.
inline std::uint64_t fnv1a(std::uint64_t state, const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < size; ++i) state = (state ^ bytes[i]) * 1099511628211ull;
  return state;
}

/// A hash of large data at about memory bandwidth: eight interleaved multiply-xorshift sums over
/// 64-bit words, then FNV-1a over the sums and the remaining bytes.
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

/// FNV-1a of a file's contents; an absent file changes nothing.
inline std::uint64_t hash_file(std::uint64_t state, const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  char chunk[4096];
  while (in.read(chunk, sizeof chunk) || in.gcount() > 0) {
    state = fnv1a(state, chunk, static_cast<size_t>(in.gcount()));
  }
  return state;
}

}  // namespace anabranch
