// What the tokens of a vocabulary say, as far as titles need it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace anabranch {

class TokenTexts {
 public:
  /// `texts` [vocabulary]: UTF-8; empty for tokens that are no text, such as markers of turns.
  explicit TokenTexts(std::vector<std::string> texts);
  TokenTexts(const TokenTexts&) = delete;
  TokenTexts& operator=(const TokenTexts&) = delete;

  /// Empty for ids outside of the table.
  std::string_view text(int token) const;
  std::string text(const std::vector<int>& tokens) const;
  /// Letters and digits of `tokens`, in lower case: how two titles are compared.
  std::string words(std::span<const int> tokens) const;
  /// Tokens that say something, but no letter or digit, ascending.
  const std::vector<int>& wordless() const { return wordless_; }
  /// Tokens that say `text`: from its beginning the longest one each time. Nothing if a byte of it
  /// is no token.
  std::optional<std::vector<int>> spell(std::string_view text) const;
  /// Tokens that end the line before they say anything, ascending.
  const std::vector<int>& line_ends() const { return line_ends_; }
  std::uint64_t fingerprint() const { return fingerprint_; }

 private:
  std::vector<std::string> texts_;
  std::unordered_map<std::string_view, int> token_of_;  // the lowest id
  std::vector<int> line_ends_;
  std::vector<int> wordless_;
  size_t longest_ = 0;
  std::uint64_t fingerprint_;
};

}  // namespace anabranch
