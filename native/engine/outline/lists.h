// Lists in the text of an answer, read as it grows: where an item begins, where its title ends, and
// where its text ends. Works on Markdown, and on plain numbered or dashed lists.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace anabranch {

/// What begins an item: the beginning of its first line.
struct ItemMark {
  int indent = 0;            // columns before it
  int heading = 0;           // number of '#'; 0: not a heading
  bool row = false;          // a table's row
  bool bold_before = false;  // "**1. Title**"
  bool numbered = false;
  int number = 0;
  char bullet = 0;    // '-', '*' or '+'; after a number '.' or ')'
  bool bold = false;  // "1. **Title**"
  size_t length = 0;  // bytes through the mark; spaces after it belong to the title

  bool bold_lead() const { return bold && !numbered && bullet == 0 && heading == 0; }
  /// Whether both begin items of one list.
  bool same_list(const ItemMark& other) const;
};

/// kPossible: too little of the line is known.
enum class MarkMatch { kNo, kPossible, kYes };
/// Reads the mark of a line, of which only the beginning may be known. While nothing follows the
/// mark, `bold` may be missing.
MarkMatch read_mark(std::string_view line, ItemMark& mark);

/// A title in its line: bytes [mark.length, end), closed by [end, close_end).
struct TitleSpan {
  size_t end = 0;
  size_t close_end = 0;
};
/// kPossible: the title may still end.
MarkMatch read_title(std::string_view line, const ItemMark& mark, bool line_complete,
                     TitleSpan& span);

/// A title as it is compared with others: lower case, without spaces and punctuation around it.
std::string plain_title(std::string_view text);
/// Whether a text can name one item: few words, with letters.
bool names_an_item(std::string_view title);

/// Follows the lines of a text: code between fences, and blank lines.
class LineTracker {
 public:
  void push(char c);
  const std::string& line() const { return line_; }
  bool in_code() const { return in_code_; }
  bool after_blank() const { return after_blank_; }

 private:
  std::string line_;
  bool in_code_ = false;
  bool after_blank_ = true;
};

/// Finds where an item's text ends.
class ItemEnd {
 public:
  enum class Verdict {
    kBody,
    kHold,      // the line may become the next item's mark
    kNextItem,  // the line is the next item's mark
    kListEnd,   // the line belongs to what follows the list
  };

  /// `mark` is the item's own. `separator` is the text between its title and its body; `block` says
  /// that paragraphs which are not indented belong to the item.
  ItemEnd(const ItemMark& mark, std::string_view separator, bool block);

  /// Takes the text of the lane's next token.
  Verdict push(std::string_view text);
  /// Bytes since the line began. They don't belong to the item after kNextItem and kListEnd, and
  /// may not after kHold.
  size_t line_bytes() const { return lines_.line().size(); }

 private:
  Verdict judge() const;

  ItemMark mark_;
  bool block_;
  LineTracker lines_;
  bool judged_;  // the line belongs to the item
};

}  // namespace anabranch
