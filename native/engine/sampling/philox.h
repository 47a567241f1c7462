// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel Random Numbers: As Easy
// as 1, 2, 3" (SC 2011): random access to any draw, without state between steps or machines.
#pragma once

#include <array>
#include <cstdint>

namespace anabranch {

inline std::array<std::uint32_t, 4> philox4x32_10(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t left = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t right = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(right >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(right),
               static_cast<std::uint32_t>(left >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(left)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// Uniform in [0, 1) for one token: key = seed, counter = (choice index, lane, index in lane, 0).
inline double uniform(std::uint64_t seed, std::uint32_t choice_index, std::uint32_t lane,
                      std::uint32_t index) {
  const auto word =
      philox4x32_10({choice_index, lane, index, 0},
                    {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  return (static_cast<double>(word[0]) + static_cast<double>(word[1]) * 0x1p-32) * 0x1p-32;
}

}  // namespace anabranch
