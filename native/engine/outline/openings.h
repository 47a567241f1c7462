// Finds where an answer begins a list, token by token.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "outline/lists.h"
#include "outline/outline_rules.h"

namespace anabranch {

/// How a list's items are written, in tokens of its first item.
class ItemForm {
 public:
  ItemMark mark;
  std::string title;      // of the first item
  std::string separator;  // text between title and body
  bool block = false;     // paragraphs of an item are not indented

  /// Tokens of the mark of item `number`, counted as the list counts.
  std::vector<int> mark_of(int number) const;
  /// Tokens between title and body, and those of them before the first line end.
  const std::vector<int>& separator_ids() const { return separator_ids_; }
  const std::vector<int>& separator_on_line() const { return separator_on_line_; }
  const std::vector<int>& line_break() const { return line_break_; }

 private:
  friend class OpeningScanner;
  /// Pieces of the mark: tokens as they are, or text around the number.
  struct Piece {
    std::vector<int> ids;
    std::string before, after;  // of the number, if ids is empty
  };
  const TokenTexts* texts_ = nullptr;
  std::vector<Piece> pieces_;
  std::vector<int> separator_ids_, separator_on_line_, line_break_;
};

/// Where the body of an item begins.
struct ItemBegin {
  ItemForm form;
  bool first = false;       // of its list
  bool outlinable = false;  // the items behind it can be written beside it
};

/// Follows the trunk's text.
class OpeningScanner {
 public:
  explicit OpeningScanner(const OutlineRules& rules) : rules_(rules) {}

  /// Takes the trunk's next token. If it is the first of an item's body, returns how the item is
  /// written. An outline goes behind the token before this one.
  std::optional<ItemBegin> push(int token);

 private:
  /// A token of the line. Its beginning may belong to the line before.
  struct LineToken {
    int id;
    size_t begin, end;  // in line_
    bool whole;         // all of it is in line_
  };

  void push_line_text(int token, std::string_view text);
  void end_line();
  bool begins_list() const;
  bool outlinable(std::string_view body) const;
  bool read_form(ItemForm& form, std::string_view body) const;
  bool read_mark_pieces(ItemForm& form) const;
  std::optional<ItemBegin> begin_body(std::string_view body);

  const OutlineRules& rules_;
  LineTracker lines_;
  /// The line and, once its title is complete, the line ends behind it.
  std::string line_;
  std::vector<LineToken> tokens_;
  bool closed_ = false;  // the line's title is complete
  bool dead_ = false;    // no list begins in this line
  ItemMark mark_;
  TitleSpan title_;
  bool after_table_rule_ = false;
  std::string lead_in_;         // the last line that is no item
  std::set<std::string> seen_;  // lists that have begun, but numbered ones
};

}  // namespace anabranch
