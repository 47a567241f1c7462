// The tokens that a grammar allows, against following each token's bytes by itself.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "check/checks.h"
#include "check/values.h"
#include "grammar/grammar.h"

namespace anabranch {
namespace {

/// Whole numbers from 0 to below `limit`.
class Whole {
 public:
  explicit Whole(std::uint64_t seed) : numbers_(seed) {}
  int operator()(int limit) {
    return std::min(limit - 1, static_cast<int>((numbers_() + 1) / 2 * static_cast<float>(limit)));
  }

 private:
  Numbers numbers_;
};

/// Words, numbers, quotes, letters of two bytes and bytes that are none, of 1 to 40 bytes; some ids
/// write nothing and some the same.
std::vector<std::string> vocabulary(int size) {
  Whole below(7);
  std::vector<std::string> out(static_cast<size_t>(size));
  for (int id = 0; id < size; ++id) {
    const int length = id % 50 == 0 ? 0 : id % 11 == 0 ? 1 + below(40) : 1 + below(6);
    const int kind = below(8);
    while (static_cast<int>(out[id].size()) < length) {
      if (kind < 5)
        out[id].push_back(static_cast<char>('a' + below(26)));
      else if (kind == 5)
        out[id] += below(2) ? "\"" : "\xc3\xa9";
      else
        out[id].push_back(static_cast<char>(kind == 6 ? 32 + below(95) : below(256)));
    }
  }
  return out;
}

/// The grammar of a quoted text of at most `length` characters, of which the ones from `low` on may
/// be of two bytes, then of one of three words.
GrammarWords quoted(std::uint32_t length, std::uint32_t low) {
  std::vector<std::vector<std::uint32_t>> nodes;
  const auto bytes = [](std::uint32_t first, std::uint32_t last, std::uint32_t target) {
    return std::vector<std::uint32_t>{first << 8 | last << 16, target, 0};
  };
  const auto add = [&](bool final, const std::vector<std::vector<std::uint32_t>>& edges) {
    nodes.push_back({final, static_cast<std::uint32_t>(edges.size())});
    for (const auto& edge : edges)
      nodes.back().insert(nodes.back().end(), edge.begin(), edge.end());
  };
  const std::uint32_t end = 2 * length + 2;  // after the closing quote
  add(false, {bytes('"', '"', 1)});
  for (std::uint32_t i = 0; i < length; ++i) {
    const std::uint32_t at = 2 * i + 1;
    std::vector<std::vector<std::uint32_t>> edges = {
        bytes(0x20, 0x21, at + 2), bytes(0x23, 0x7e, at + 2), bytes('"', '"', end)};
    if (i >= low) edges.push_back(bytes(0xc2, 0xdf, at + 1));
    add(false, edges);
    add(false, {bytes(0x80, 0xbf, at + 2)});
  }
  add(false, {bytes('"', '"', end)});
  add(true, {bytes('x', 'y', end + 1), bytes('z', 'z', end)});
  add(true, {});
  GrammarWords words = {kGrammarVersion, static_cast<std::uint32_t>(nodes.size()), 0};
  for (const auto& node : nodes) words.insert(words.end(), node.begin(), node.end());
  return words;
}

std::string wrong_tokens(Grammar& grammar, int state, int size) {
  const auto mask = grammar.mask(state);
  for (int token = 0; token < size; ++token) {
    const std::string_view text = grammar.trie().bytes(token);
    const bool allowed = (*mask)[token / 32] >> (token % 32) & 1;
    if (allowed != (!text.empty() && grammar.after(state, text) >= 0)) {
      return "state " + std::to_string(state) + ", token " + std::to_string(token);
    }
  }
  return "";
}

}  // namespace

void check_grammar_masks() {
  constexpr int kSize = 3000;
  const auto trie = std::make_shared<const TokenTrie>(vocabulary(kSize));
  Whole below(11);
  std::string wrong;
  for (const std::uint32_t length : {0u, 1u, 5u, 31u, 32u, 33u, 90u}) {
    Grammar grammar(quoted(length, length / 2), trie);
    for (int walk = 0; walk < 6; ++walk) {
      for (int state = grammar.start(); state >= 0 && wrong.empty();) {
        wrong = wrong_tokens(grammar, state, kSize);
        const auto mask = grammar.mask(state);
        int next = Grammar::kDead;
        for (int tries = 0; tries < 500 && next < 0; ++tries) {
          const int token = below(kSize);
          const bool allowed = (*mask)[token / 32] >> (token % 32) & 1;
          if (allowed) next = grammar.after(state, grammar.trie().bytes(token));
        }
        state = next;
      }
    }
  }
  report("tokens that a grammar allows", wrong);
}

}  // namespace anabranch
