// The vocabulary by its bytes: which tokens a language of byte strings allows is found in one walk.
#pragma once

#include <bitset>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sampling/sampler.h"

namespace anabranch {

using ByteSet = std::bitset<256>;

class TokenTrie {
 public:
  struct Split;

  /// `bytes` [vocabulary]: what each token writes; empty for tokens that write no text.
  explicit TokenTrie(std::vector<std::string> bytes);
  ~TokenTrie();
  TokenTrie(const TokenTrie&) = delete;
  TokenTrie& operator=(const TokenTrie&) = delete;

  /// Empty for tokens that write no text, and for ids outside of the table.
  std::string_view bytes(int token) const;

  /// Tokens that write `text` or the beginning of it: the longest one each time, at most `count`.
  std::vector<int> spell(std::string_view text, size_t count) const;

  TokenMask no_tokens() const { return TokenMask((bytes_.size() + 31) / 32, 0); }

  /// Adds the tokens whose bytes can be followed from `start` to `mask`. follow(state, byte) gives
  /// the next state, or a negative number where there is none.
  template <class Follow>
  void allow(int start, Follow follow, TokenMask& mask) const {
    std::vector<int> states(depth_ + 1, start);  // [depth]: after so many bytes
    for (size_t at = 0; at < nodes_.size();) {
      const Node& node = nodes_[at];
      const int next = follow(states[node.depth], node.byte);
      if (next < 0) {
        at = node.end;
        continue;
      }
      states[node.depth + 1] = next;
      for (int token : tokens_of(node)) mask[token / 32] |= 1u << (token % 32);
      ++at;
    }
  }

  /// The tokens by whether they are spelt with the bytes of `set` alone. Kept for the few sets that
  /// are asked for most; may be called from any thread.
  std::shared_ptr<const Split> split(const ByteSet& set) const;

 private:
  /// In pre-order: the node's subtree is [itself, end).
  struct Node {
    std::uint32_t end;
    std::uint32_t first_token;  // of those that end here, in tokens_
    std::uint32_t num_tokens;
    std::uint16_t depth;  // of its parent
    std::uint8_t byte;    // that leads to it
  };

  std::span<const int> tokens_of(const Node& node) const {
    return std::span(tokens_).subspan(node.first_token, node.num_tokens);
  }
  /// The child of nodes [begin, end) at `byte`, or `end`.
  size_t child(size_t begin, size_t end, std::uint8_t byte) const;

  std::vector<std::string> bytes_;
  std::vector<Node> nodes_;
  std::vector<int> tokens_;
  size_t depth_ = 0;  // bytes of the longest token

  mutable std::mutex mutex_;
  /// The latest first.
  mutable std::list<std::pair<ByteSet, std::shared_ptr<const Split>>> splits_;
};

/// Most of a vocabulary are words, and inside of a JSON string all words are allowed alike: up to a
/// length. So only the few others have to be followed byte by byte.
struct TokenTrie::Split {
  static constexpr int kLongest = 32;

  Split(std::vector<TokenMask> up_to, std::vector<std::string> others)
      : up_to(std::move(up_to)), others(std::move(others)) {}

  std::vector<TokenMask> up_to;  // [kLongest + 1]: tokens of the set's bytes, of at most so many
  TokenTrie others;              // and those that are longer
};

}  // namespace anabranch
