// The titles of a list, as a lane beside the trunk writes them: one a line.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "outline/openings.h"
#include "outline/outline_rules.h"

namespace anabranch {

class ItemTitles {
 public:
  struct Title {
    int ordinal = 0;  // its place in the list, counted from 1
    std::vector<int> ids;
    std::string text;            // as it is compared with others
    std::vector<int> separator;  // tokens between it and the body
  };
  /// What the lane does with its sampled token.
  struct Next {
    int keep = 0;             // tokens of its segment that stay
    bool sampled = false;     // the sampled token follows them
    std::vector<int> forced;  // then these
    int mark_at = -1;         // index in the segment of the next mark, if they hold it
    bool complete = false;    // there are no more titles
  };

  /// `form` is that of the first item; at most `max_titles` items with it.
  ItemTitles(const OutlineRules& rules, const ItemForm& form, int max_titles);

  /// What the lane begins with: the second item's mark.
  const std::vector<int>& first_tokens() const { return first_tokens_; }
  /// Takes a sampled token; `written` are the tokens of the lane's segment before it. `goes_on`
  /// says whether the model would have begun the item whose title this is.
  Next push(int token, std::span<const int> written, bool goes_on);
  /// The lane ends: what follows the last title is removed.
  Next end() const { return {kept_, false, {}, -1, true}; }
  /// The list has an item with this title already.
  void skip(const std::string& title) { skipped_.push_back(plain_title(title)); }
  /// The titles of such items, the first one's included.
  const std::vector<std::string>& skipped() const { return skipped_; }

  /// The titles behind place `ordinal` that the trunk has not written.
  std::vector<const Title*> after(int ordinal) const;
  /// Between the outline and an item.
  const std::vector<int>& blank_line() const { return blank_line_; }
  /// Between two items, if the first one has not written its line's end.
  const std::vector<int>& item_break() const { return item_break_; }

 private:
  Next close_title(std::span<const int> title, size_t title_bytes, std::span<const int> written);
  bool is_new(const std::string& title) const;

  const OutlineRules* rules_;
  ItemForm form_;
  int max_titles_;
  std::vector<int> first_tokens_, blank_line_, item_break_;
  std::vector<Title> titles_;  // from the second item on
  std::vector<std::string> skipped_;
  std::vector<int> mark_;   // of the item whose title is being written
  size_t title_begin_ = 0;  // index in the segment
  int kept_ = 0;
};

}  // namespace anabranch
