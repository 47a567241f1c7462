// A list that is being outlined: its titles, the trunk's own item, the branches, the reading.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "outline/item_titles.h"
#include "outline/openings.h"
#include "serving/request.h"

namespace anabranch {

/// Tokens of a lane that may not belong to its item: those of a line that may become the next
/// item's mark.
class HeldTokens {
 public:
  /// Takes the lane's next token, of a text with `text_bytes` bytes. Returns the tokens that belong
  /// to the item now.
  std::vector<EmittedToken> push(EmittedToken token, size_t text_bytes, const ItemEnd& end,
                                 ItemEnd::Verdict verdict) {
    // The line began in this token, so what is held belongs to the line before.
    const bool fresh = end.line_bytes() <= text_bytes;
    std::vector<EmittedToken> free;
    if (fresh || verdict == ItemEnd::Verdict::kBody) free = take();
    if (verdict == ItemEnd::Verdict::kBody)
      free.push_back(std::move(token));
    else
      held_.push_back(std::move(token));
    return free;
  }
  std::vector<EmittedToken> take() { return std::exchange(held_, {}); }
  int size() const { return static_cast<int>(held_.size()); }

 private:
  std::vector<EmittedToken> held_;
};

/// An item that a branch writes.
struct OutlinedItem {
  OutlinedItem(std::string its_title, std::vector<int> opening, ItemEnd its_end)
      : title(std::move(its_title)), ids(std::move(opening)), end(std::move(its_end)) {}

  std::string title;     // as it is compared with others
  std::vector<int> ids;  // as they stand in the document
  size_t body = 0;       // index of the body's first token
  ItemEnd end;
  int lane = 0;
  HeldTokens held;
  int body_tokens = 0;
  bool closed = false;

  int length() const { return static_cast<int>(ids.size()) + held.size(); }
};

/// A list that is being outlined.
struct OutlinedList {
  OutlinedList(const OutlineRules& rules, const ItemForm& list, int max_titles)
      : form(list), titles(rules, list, max_titles), end(list.mark, list.separator, list.block) {}

  ItemForm form;  // of the first item
  int side = 0;   // the lane that writes titles
  ItemTitles titles;
  bool complete = false;  // all titles are written
  // The item that the trunk writes.
  int ordinal = 1;
  ItemEnd end;
  ItemEnd::Verdict verdict = ItemEnd::Verdict::kBody;
  bool in_title = false;  // the trunk writes the next item's mark or title
  int title_tokens = 0;   // of that item
  HeldTokens held;
  // The stage.
  bool in_stage = false;
  std::vector<OutlinedItem> items;
  bool reading = false;        // the trunk's item is complete; it reads the others
  size_t accepted = 0;         // items that belong to the answer; the trunk reads the last of them
  size_t read = 0;             // tokens of that item
  bool short_of_room = false;  // items were dropped because the answer has no room for them
  size_t tried = 0;            // tokens of the next item that were written to be judged; 0: none

  bool has_next_item() const { return accepted < items.size(); }
  /// The last item was read, so the trunk goes on by itself.
  bool reads_list_end() const {
    return reading && tried == 0 && !has_next_item() && items.back().closed &&
           read == items.back().ids.size();
  }
};

}  // namespace anabranch
