#include "outline/lists.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>

namespace anabranch {
namespace {

constexpr int kMaxTitleWords = 12;
constexpr size_t kMaxTitleBytes = 120;
constexpr int kTabColumns = 4;
constexpr int kMaxNumberDigits = 3;

bool is_space(char c) { return c == ' ' || c == '\t'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_blank(std::string_view line) { return std::all_of(line.begin(), line.end(), is_space); }

std::string_view trimmed(std::string_view text, std::string_view characters) {
  const size_t begin = text.find_first_not_of(characters);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(characters) + 1 - begin);
}

int words_in(std::string_view text) {
  int words = 0;
  bool in_word = false;
  for (char c : text) {
    const bool space = is_space(c);
    words += !space && !in_word;
    in_word = !space;
  }
  return words;
}

/// The end of the first of `closes` in `line` from `from` on, with its beginning; npos if none.
template <size_t N>
size_t find_first(std::string_view line, size_t from, const std::array<std::string_view, N>& closes,
                  size_t& end) {
  size_t first = std::string_view::npos;
  for (std::string_view close : closes) {
    const size_t at = line.find(close, from);
    if (at >= first) continue;
    first = at;
    end = at + close.size();
  }
  return first;
}

/// Reads `N.` or `N)` at `at`. kYes leaves `at` behind it; a space follows.
MarkMatch read_number(std::string_view line, size_t& at, ItemMark& mark) {
  size_t end = at;
  while (end < line.size() && is_digit(line[end])) ++end;
  if (end == at || end - at > kMaxNumberDigits) return MarkMatch::kNo;
  if (end == line.size()) return MarkMatch::kPossible;
  const bool ideographic = line.substr(end, 3) == "、";
  if (ideographic || line[end] == '.' || line[end] == ')') mark.bullet = line[end];
  if (mark.bullet == 0) return MarkMatch::kNo;
  if (!ideographic && end + 1 == line.size()) return MarkMatch::kPossible;
  if (!ideographic && !is_space(line[end + 1])) {
    mark.bullet = 0;
    return MarkMatch::kNo;
  }
  mark.numbered = true;
  mark.number = std::atoi(std::string(line.substr(at, end - at)).c_str());
  at = end + (ideographic ? 3 : 1);
  return MarkMatch::kYes;
}

/// The mark ends at `at`, or after bold that opens behind spaces there.
MarkMatch end_mark(std::string_view line, size_t at, ItemMark& mark) {
  mark.length = at;
  const size_t text = line.find_first_not_of(" \t", at);
  if (text == std::string_view::npos || line.substr(text, 2) != "**") return MarkMatch::kYes;
  mark.bold = true;
  mark.length = text + 2;
  return MarkMatch::kYes;
}

}  // namespace

bool ItemMark::same_list(const ItemMark& other) const {
  return indent == other.indent && heading == other.heading && row == other.row &&
         numbered == other.numbered && bullet == other.bullet && bold_before == other.bold_before &&
         bold_lead() == other.bold_lead();
}

MarkMatch read_mark(std::string_view line, ItemMark& mark) {
  mark = {};
  size_t at = 0;
  for (; at < line.size() && is_space(line[at]); ++at) {
    mark.indent += line[at] == '\t' ? kTabColumns : 1;
  }
  if (at == line.size()) return MarkMatch::kPossible;
  if (line[at] == '|') {
    mark.row = true;
    mark.length = at + 1;
    return MarkMatch::kYes;
  }
  if (line[at] == '#') {
    const size_t text = line.find_first_not_of('#', at);
    if (text == std::string_view::npos) return MarkMatch::kPossible;
    mark.heading = static_cast<int>(text - at);
    if (mark.heading > 6 || !is_space(line[text])) return MarkMatch::kNo;
    size_t number = line.find_first_not_of(" \t", text);
    if (number == std::string_view::npos) return MarkMatch::kPossible;
    if (is_digit(line[number])) {
      const MarkMatch match = read_number(line, number, mark);
      if (match == MarkMatch::kPossible) return match;
      if (match == MarkMatch::kYes) return end_mark(line, number, mark);
    }
    return end_mark(line, text, mark);
  }
  if (line[at] == '*' && at + 1 == line.size()) return MarkMatch::kPossible;
  if (line.substr(at, 2) == "**") {
    size_t number = at + 2;
    if (number == line.size()) return MarkMatch::kPossible;
    const MarkMatch match = read_number(line, number, mark);
    if (match == MarkMatch::kPossible) return match;
    mark.bold_before = match == MarkMatch::kYes;
    mark.bold = true;
    mark.length = mark.bold_before ? number : at + 2;
    return is_space(line[at + 2]) ? MarkMatch::kNo : MarkMatch::kYes;
  }
  if (is_digit(line[at])) {
    const MarkMatch match = read_number(line, at, mark);
    return match == MarkMatch::kYes ? end_mark(line, at, mark) : match;
  }
  if (line[at] != '-' && line[at] != '*' && line[at] != '+') return MarkMatch::kNo;
  if (at + 1 == line.size()) return MarkMatch::kPossible;
  if (!is_space(line[at + 1])) return MarkMatch::kNo;
  mark.bullet = line[at];
  return end_mark(line, at + 1, mark);
}

MarkMatch read_title(std::string_view line, const ItemMark& mark, bool line_complete,
                     TitleSpan& span) {
  const auto open = line_complete ? MarkMatch::kNo : MarkMatch::kPossible;
  const auto close_at = [&](size_t at, size_t end) {
    span = {at, end};
    return MarkMatch::kYes;
  };
  if (mark.row) {
    const size_t bar = line.find('|', mark.length);
    return bar == std::string_view::npos ? open : close_at(bar, bar + 1);
  }
  if (mark.bold) {
    const size_t stars = line.find("**", mark.length);
    return stars == std::string_view::npos ? open : close_at(stars, stars + 2);
  }
  if (mark.heading > 0) return line_complete ? close_at(line.size(), line.size()) : open;
  static constexpr std::array<std::string_view, 7> kCloses = {": ",  ":\t", " - ", " – ",
                                                              " — ", "：",  " -- "};
  size_t end = 0;
  size_t at = find_first(line, mark.length, kCloses, end);
  if (line_complete && !line.empty() && line.back() == ':') at = std::min(at, line.size() - 1);
  const std::string_view title = line.substr(mark.length, at - mark.length);
  // A full stop, or too many words: a sentence, not a title.
  if (title.find_first_of(".?!;") != std::string_view::npos || words_in(title) > kMaxTitleWords) {
    return MarkMatch::kNo;
  }
  if (at == line.size() - 1) return close_at(at, line.size());
  // The space behind a close belongs to the body.
  if (at != std::string_view::npos) return close_at(at, is_space(line[end - 1]) ? end - 1 : end);
  return line_complete ? close_at(line.size(), line.size()) : MarkMatch::kPossible;
}

std::string plain_title(std::string_view text) {
  std::string out(trimmed(text, " \t*_:.\"'`#-"));
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool names_an_item(std::string_view title) {
  const std::string plain = plain_title(title);
  const bool letters = std::any_of(plain.begin(), plain.end(),
                                   [](unsigned char c) { return std::isalpha(c) || c >= 0x80; });
  return letters && plain.size() <= kMaxTitleBytes && words_in(plain) <= kMaxTitleWords;
}

void LineTracker::push(char c) {
  if (c != '\n') {
    line_ += c;
    return;
  }
  const std::string_view text = trimmed(line_, " \t");
  if (text.starts_with("```") || text.starts_with("~~~")) in_code_ = !in_code_;
  after_blank_ = is_blank(line_);
  line_.clear();
}

ItemEnd::ItemEnd(const ItemMark& mark, std::string_view separator, bool block)
    : mark_(mark), block_(block), judged_(separator.find('\n') == std::string_view::npos) {
  if (judged_) lines_.push('-');  // the item's first line has begun
  for (char c : separator) lines_.push(c);
}

ItemEnd::Verdict ItemEnd::push(std::string_view text) {
  Verdict verdict = Verdict::kBody;
  for (size_t i = 0; i < text.size(); ++i) {
    lines_.push(text[i]);
    if (text[i] == '\n') {
      judged_ = false;
      verdict = Verdict::kBody;
      continue;
    }
    if (judged_) continue;
    verdict = judge();
    judged_ = verdict == Verdict::kBody;
    if (verdict == Verdict::kNextItem || verdict == Verdict::kListEnd) {
      for (char rest : text.substr(i + 1)) lines_.push(rest);
      return verdict;
    }
  }
  return verdict;
}

ItemEnd::Verdict ItemEnd::judge() const {
  const std::string_view line = lines_.line();
  if (lines_.in_code()) return Verdict::kBody;
  ItemMark found;
  switch (read_mark(line, found)) {
    case MarkMatch::kPossible:
      return Verdict::kHold;
    case MarkMatch::kYes:
      if (found.same_list(mark_)) {
        // Another list from 1 on is inside the item.
        return found.numbered && found.number <= 1 ? Verdict::kBody : Verdict::kNextItem;
      }
      if (found.heading > 0) {
        return mark_.heading > 0 && found.heading > mark_.heading ? Verdict::kBody
                                                                  : Verdict::kListEnd;
      }
      if (found.bold_lead()) break;
      return found.indent < mark_.indent || mark_.row ? Verdict::kListEnd : Verdict::kBody;
    case MarkMatch::kNo:
      break;
  }
  if (mark_.row) return Verdict::kListEnd;
  const size_t begin = line.find_first_not_of(" \t");
  const int indent = found.indent;
  if (line.substr(begin, 2) == "--") {
    return mark_.heading > 0 ? Verdict::kBody : Verdict::kListEnd;
  }
  if (std::string_view("`|>$~-").find(line[begin]) != std::string_view::npos) return Verdict::kBody;
  const bool inside = indent > mark_.indent || block_ || !lines_.after_blank();
  return inside ? Verdict::kBody : Verdict::kListEnd;
}

}  // namespace anabranch
