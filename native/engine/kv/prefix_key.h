// Names of KV contents: what a block's K and V depend on, as 128 bits.
#pragma once

#include <cstdint>
#include <span>

namespace anabranch {

/// Made from the salt, the context's keys in order, the start position and the tokens. Keyed with a
/// secret of this process, so that nobody can prepare two contents with one key.
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
