// The vocabulary by its bytes: which tokens a language of byte strings allows is found in one walk.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sampling/sampler.h"

namespace anabranch {

class TokenTrie {
 public:
  /// `bytes` [vocabulary]: what each token writes; empty for tokens that write no text.
  explicit TokenTrie(std::vector<std::string> bytes);
  TokenTrie(const TokenTrie&) = delete;
  TokenTrie& operator=(const TokenTrie&) = delete;

  /// Empty for tokens that write no text, and for ids outside of the table.
  std::string_view bytes(int token) const;

  /// Tokens that write `text` or the beginning of it: the longest one each time, at most `count`.
  std::vector<int> spell(std::string_view text, size_t count) const;

  /// The tokens whose bytes can be followed from `start`. follow(state, byte) gives the next state,
  /// or a negative number where there is none.
  template <class Follow>
  TokenMask allowed(int start, Follow follow) const {
    TokenMask mask((bytes_.size() + 31) / 32, 0);
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
    return mask;
  }

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
};

}  // namespace anabranch
