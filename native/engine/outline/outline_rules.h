// What the engine is told for outlines: what tokens say, which words speak against an outline, and
// fitted thresholds.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "outline/token_texts.h"

namespace anabranch {

struct OutlineRules {
  std::shared_ptr<const TokenTexts> texts;
  /// A title that begins with one of these words belongs to a sequence: its item may need others.
  std::vector<std::string> sequential_titles;
  /// Titles of parts that sum up the others.
  std::vector<std::string> closing_titles;
  /// A list is a procedure if the line before it has one of these words.
  std::vector<std::string> procedure_words;
  /// After an item, the list goes on if the model writes the next mark with at least this
  /// probability.
  double continue_probability = 0.3;
  /// An item stays if the model, having read those before it, gives the first tokens of its body at
  /// least this mean log-probability. Below it the item would have begun in another way.
  double body_log_probability = -2.5;
  int body_sample = 8;  // tokens of a body that are judged so
  int max_titles = 10;  // of a list, the first one included
  int max_title_tokens = 20;
  int max_mark_tokens = 16;  // of an item's mark, its separator and a line end
  int max_item_tokens = 512;
  int max_stages = 8;
  int min_room = 64;  // an answer that may have fewer tokens yet is not outlined

  /// Tokens of an outline, at most: of each title, its mark, its separator and a line end.
  int max_outline_tokens() const { return max_titles * (max_title_tokens + max_mark_tokens); }
  /// Whether the title's item can be written without the others.
  bool independent(std::string_view title) const;
  bool is_procedure(std::string_view lead_in) const;
  /// Of everything that can change an answer.
  std::uint64_t fingerprint() const;
};

}  // namespace anabranch
