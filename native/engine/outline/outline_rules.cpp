#include "outline/outline_rules.h"

#include <algorithm>
#include <cctype>

#include "hash.h"
#include "outline/lists.h"

namespace anabranch {
namespace {

bool is_word_byte(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || static_cast<unsigned char>(c) >= 0x80;
}

/// Scripts of East Asia, from U+3000 on, put no spaces between words.
bool has_spaces(std::string_view word) { return static_cast<unsigned char>(word.front()) < 0xe3; }

bool begins_with_word(std::string_view text, std::string_view word) {
  return text.starts_with(word) &&
         (!has_spaces(word) || text.size() == word.size() || !is_word_byte(text[word.size()]));
}

/// Whether `text`, in lower case, has the word or words, whole.
bool has_word(std::string_view text, std::string_view word) {
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    if ((at == 0 || !has_spaces(word) || !is_word_byte(text[at - 1])) &&
        begins_with_word(text.substr(at), word)) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool OutlineRules::independent(std::string_view title) const {
  const std::string plain = plain_title(title);
  const auto begins = [&](const std::string& word) { return begins_with_word(plain, word); };
  return std::none_of(sequential_titles.begin(), sequential_titles.end(), begins) &&
         std::none_of(closing_titles.begin(), closing_titles.end(), begins);
}

bool OutlineRules::is_procedure(std::string_view lead_in) const {
  const std::string plain = plain_title(lead_in);
  return std::any_of(procedure_words.begin(), procedure_words.end(),
                     [&](const std::string& word) { return has_word(plain, word); });
}

std::uint64_t OutlineRules::fingerprint() const {
  std::uint64_t state = texts->fingerprint();
  for (const auto* words : {&sequential_titles, &closing_titles, &procedure_words}) {
    for (const std::string& word : *words) state = fnv1a(state, word.c_str(), word.size() + 1);
    state = fnv1a(state, "\n", 1);
  }
  state = fnv1a(state, &continue_probability, sizeof continue_probability);
  state = fnv1a(state, &body_log_probability, sizeof body_log_probability);
  for (int cap : {body_sample, max_titles, max_title_tokens, max_mark_tokens, max_item_tokens,
                  max_stages, min_room}) {
    state = fnv1a(state, &cap, sizeof cap);
  }
  return state;
}

}  // namespace anabranch
