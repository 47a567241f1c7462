// What an answer may say, as a language of byte strings: automata that call each other, so that
// values may nest. Read lazily, as a deterministic automaton over sets of places and callers.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "grammar/token_trie.h"

namespace anabranch {

/// A grammar as it is sent: kGrammarVersion, the number of nodes, the start node; then for each
/// node 1 if its automaton may end there, the number of its edges, and for each edge its kind, low
/// and high byte (kind | low << 8 | high << 16), its target and the node after a call.
using GrammarWords = std::vector<std::uint32_t>;
inline constexpr std::uint32_t kGrammarVersion = 1;

/// Members may be called from any thread.
class Grammar {
 public:
  /// Throws Error if `words` are no grammar, or if an automaton that is called may be empty or
  /// begins with a call of itself.
  Grammar(const GrammarWords& words, std::shared_ptr<const TokenTrie> trie);
  ~Grammar();

  /// A state: what may follow the bytes that were read.
  static constexpr int kDead = -1;      // nothing may: the bytes don't belong to the language
  static constexpr int kTooLarge = -2;  // it would take more memory than a grammar may have
  int start();
  int after(int state, std::string_view bytes);
  bool may_end(int state);
  /// Whether nothing but the end may follow.
  bool must_end(int state);
  /// The bytes that must follow, at most `count`.
  std::string forced(int state, size_t count);
  /// The tokens that may follow.
  std::shared_ptr<const TokenMask> mask(int state);

  const TokenTrie& trie() const { return *trie_; }
  /// Whether it has become so large that later answers should begin with a new one.
  bool is_worn() const;

 private:
  struct Network;
  struct Place;
  struct State;
  class Closure;

  struct Run;
  int follow(int state, std::uint8_t byte);
  int intern(State state);
  const Run& run_of(int state);
  std::optional<int> run_length(int state, const ByteSet& set);

  const std::shared_ptr<const TokenTrie> trie_;
  std::unique_ptr<const Network> network_;
  mutable std::mutex mutex_;  // guards what follows
  /// Callers of an automaton: places to go on at. [frame]
  std::vector<std::vector<Place>> frames_;
  std::map<std::vector<Place>, int> frame_of_;
  std::vector<State> states_;
  std::map<std::vector<Place>, int> state_of_;
  size_t places_ = 0;  // in all frames and states
  int start_ = kDead;
  std::list<int> masked_;  // states that have a mask, the latest last
};

/// The grammars of an engine. Equal ones share what has been found out about them.
class Grammars {
 public:
  explicit Grammars(std::shared_ptr<const TokenTrie> trie) : trie_(std::move(trie)) {}
  /// Throws Error as Grammar does. May be called from any thread.
  std::shared_ptr<Grammar> get(const GrammarWords& words);

 private:
  const std::shared_ptr<const TokenTrie> trie_;
  std::mutex mutex_;
  /// The latest first.
  std::list<std::pair<GrammarWords, std::shared_ptr<Grammar>>> kept_;
};

}  // namespace anabranch
