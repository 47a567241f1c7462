#include "outline/token_texts.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "hash.h"

namespace anabranch {
namespace {

/// Of a character beyond ASCII, every byte is one.
bool is_of_word(char byte) {
  const auto code = static_cast<unsigned char>(byte);
  return code >= 0x80 || std::isalnum(code) != 0;
}

}  // namespace

TokenTexts::TokenTexts(std::vector<std::string> texts)
    : texts_(std::move(texts)), fingerprint_(0xcbf29ce484222325ull) {
  for (size_t id = 0; id < texts_.size(); ++id) {
    const std::string& text = texts_[id];
    fingerprint_ = fnv1a(fingerprint_, text.c_str(), text.size() + 1);
    if (text.empty()) continue;
    token_of_.try_emplace(text, static_cast<int>(id));
    longest_ = std::max(longest_, text.size());
    const size_t said = text.find_first_not_of(" \t\r");
    if (said != std::string::npos && text[said] == '\n') line_ends_.push_back(static_cast<int>(id));
    if (std::ranges::none_of(text, is_of_word)) wordless_.push_back(static_cast<int>(id));
  }
}

std::string_view TokenTexts::text(int token) const {
  if (token < 0 || static_cast<size_t>(token) >= texts_.size()) return {};
  return texts_[token];
}

std::string TokenTexts::text(const std::vector<int>& tokens) const {
  std::string out;
  for (int token : tokens) out += text(token);
  return out;
}

std::string TokenTexts::words(std::span<const int> tokens) const {
  std::string out;
  for (int token : tokens) {
    for (char byte : text(token)) {
      if (is_of_word(byte))
        out += static_cast<char>(std::tolower(static_cast<unsigned char>(byte)));
    }
  }
  return out;
}

std::optional<std::vector<int>> TokenTexts::spell(std::string_view text) const {
  std::vector<int> out;
  while (!text.empty()) {
    size_t length = std::min(longest_, text.size());
    auto found = token_of_.end();
    for (; length > 0; --length) {
      found = token_of_.find(text.substr(0, length));
      if (found != token_of_.end()) break;
    }
    if (length == 0) return std::nullopt;
    out.push_back(found->second);
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace anabranch
