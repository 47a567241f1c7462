// 128-bit hashes of KV content: of everything that a block's K and V depend on.
#pragma once

#include <cstdint>
#include <span>

namespace anabranch {

/// Hashes the salt, the adapter, the context's keys in order, the start position and the tokens.
/// Keyed with a secret of this process, so that nobody can construct two contents with the same
/// key.
struct PrefixKey {
  std::uint64_t low = 0, high = 0;
  bool operator==(const PrefixKey&) const = default;
};

/// The key of `words` after `parent`.
PrefixKey extend(const PrefixKey& parent, std::span<const std::uint32_t> words);

struct PrefixKeyHash {
  size_t operator()(const PrefixKey& key) const { return static_cast<size_t>(key.low); }
};

}  // namespace anabranch
