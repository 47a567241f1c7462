#include "outline/item_titles.h"

#include <algorithm>

namespace anabranch {
namespace {

std::vector<int> joined(std::vector<int> head, const std::vector<int>& tail) {
  head.insert(head.end(), tail.begin(), tail.end());
  return head;
}

}  // namespace

ItemTitles::ItemTitles(const OutlineRules& rules, const ItemForm& form, int max_titles)
    : rules_(&rules), form_(form), max_titles_(max_titles), skipped_{plain_title(form.title)} {
  mark_ = form.mark_of(form.mark.number + 1);
  const bool ends_line = form.separator.ends_with('\n');
  first_tokens_ = joined(ends_line ? std::vector<int>{} : form.line_break(), mark_);
  title_begin_ = first_tokens_.size();
  blank_line_ = rules.texts->spell("\n\n").value_or(form.line_break());
  const bool sections = form.mark.heading > 0 || form.mark.bold_lead() || form.block;
  item_break_ = sections ? blank_line_ : form.line_break();
}

ItemTitles::Next ItemTitles::push(int token, std::span<const int> written, bool goes_on) {
  if (!goes_on) return end();
  std::vector<int> title(written.begin() + static_cast<std::ptrdiff_t>(title_begin_),
                         written.end());
  title.push_back(token);
  std::string line = rules_->texts->text(mark_) + rules_->texts->text(title);
  const size_t line_end = line.find('\n');
  const bool complete = line_end != std::string::npos;
  if (complete) line.resize(line_end);
  ItemMark mark;
  TitleSpan span;
  const MarkMatch match = read_mark(line, mark);
  const bool same =
      match == MarkMatch::kYes && mark.same_list(form_.mark) && mark.bold == form_.mark.bold;
  const bool waits = match == MarkMatch::kPossible && !complete;
  const MarkMatch closed = same    ? read_title(line, mark, complete, span)
                           : waits ? MarkMatch::kPossible
                                   : MarkMatch::kNo;
  if (closed == MarkMatch::kPossible && static_cast<int>(title.size()) < rules_->max_title_tokens) {
    return {static_cast<int>(written.size()), true, {}, -1, false};
  }
  if (closed != MarkMatch::kYes) return end();
  const std::string text = line.substr(mark.length, span.end - mark.length);
  if (!names_an_item(text) || !rules_->independent(text) || !is_new(text)) return end();
  titles_.push_back({static_cast<int>(titles_.size()) + 2, {}, plain_title(text), {}});
  return close_title(title, span.end - rules_->texts->text(mark_).size(), written);
}

/// The title's text is the first `title_bytes` of the tokens `title`; then its close began.
ItemTitles::Next ItemTitles::close_title(std::span<const int> title, size_t title_bytes,
                                         std::span<const int> written) {
  Title& added = titles_.back();
  size_t bytes = 0;
  for (size_t i = 0; i < title.size() && bytes < title_bytes; ++i) {
    added.ids.push_back(title[i]);
    bytes += rules_->texts->text(title[i]).size();
  }
  added.separator = form_.separator_ids();
  std::vector<int> on_line = form_.separator_on_line();
  if (bytes > title_bytes) {
    // The close began within a token, which is part of the title now.
    const std::string last(rules_->texts->text(added.ids.back()));
    const std::string begun = last.substr(last.size() - (bytes - title_bytes));
    const std::string line_text = form_.separator.substr(0, form_.separator.find('\n'));
    const bool fits = line_text.starts_with(begun);
    const auto rest = rules_->texts->spell(fits ? form_.separator.substr(begun.size()) : "");
    const auto rest_on_line = rules_->texts->spell(fits ? line_text.substr(begun.size()) : "");
    if (!fits || !rest || !rest_on_line) {
      titles_.pop_back();
      return end();
    }
    added.separator = *rest;
    on_line = *rest_on_line;
  }
  std::vector<int> target = joined(added.ids, on_line);
  kept_ = static_cast<int>(title_begin_ + target.size());
  const bool last = static_cast<int>(titles_.size()) + 1 >= max_titles_;
  const size_t title_begin = title_begin_;
  int mark_at = -1;
  if (!last) {
    mark_ = form_.mark_of(form_.mark.number + static_cast<int>(titles_.size()) + 1);
    target = joined(std::move(target), form_.line_break());
    mark_at = static_cast<int>(title_begin_ + target.size());
    target = joined(std::move(target), mark_);
    title_begin_ += target.size();
  }
  // Tokens that are written already stay.
  const auto have = written.subspan(title_begin);
  const size_t common = static_cast<size_t>(std::ranges::mismatch(have, target).in1 - have.begin());
  Next next{static_cast<int>(title_begin + common), false, {}, mark_at, last};
  next.sampled = common == have.size() && common < target.size() && target[common] == title.back();
  next.forced.assign(target.begin() + static_cast<std::ptrdiff_t>(common + (next.sampled ? 1 : 0)),
                     target.end());
  return next;
}

bool ItemTitles::is_new(const std::string& title) const {
  const std::string plain = plain_title(title);
  return std::ranges::find(skipped_, plain) == skipped_.end() &&
         std::ranges::find(titles_, plain, &Title::text) == titles_.end();
}

std::vector<const ItemTitles::Title*> ItemTitles::after(int ordinal) const {
  std::vector<const Title*> out;
  for (const Title& title : titles_) {
    if (title.ordinal <= ordinal) continue;
    if (std::ranges::find(skipped_, title.text) == skipped_.end()) out.push_back(&title);
  }
  return out;
}

}  // namespace anabranch
